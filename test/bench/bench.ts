import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createAuthDir } from '../real/support/auth-dir.ts';
import {
  type Registry,
  type RegistryUser,
  startRegistry,
} from '../real/support/docker-registry.ts';
import { createTempDir } from '../real/support/janitor.ts';
import type { Tls } from '../real/support/tls.ts';
import { startWebhook, type Webhook } from '../real/support/webhook.ts';
import { type Network, startNetwork } from './network.ts';
import { findPeers, type Peers } from './peers.ts';

/** What every family of measurements uses. */
export interface Bench {
  /** Number of pairs, after a warm-up. */
  readonly rounds: number;
  /** Size of the image that is copied on loopback. */
  readonly mebibytes: number;
  readonly source: Registry & { readonly dataDir: string };
  /** The network between the clients and the source. */
  readonly network: Network;
  readonly backup: Registry;
  /** Number of connections that the webhook has opened to the backup. */
  readonly backupConnections: () => Promise<number>;
  readonly user: RegistryUser;
  readonly peers: Peers;
  /** The webhook's environment for a namespace of the backup. */
  readonly settings: (namespace: string) => Readonly<Record<string, string>>;
  /** Starts the bundle with these settings. */
  readonly startWebhook: (namespace: string, options?: StartOptions) => Promise<Webhook>;
  readonly stop: () => Promise<void>;
}

interface StartOptions {
  /** Added to the settings of the backup. */
  readonly env?: Readonly<Record<string, string>>;
  readonly tls?: Tls;
}

/** The bundle of `npm run build`. */
export const bundle = [process.execPath, 'dist/webhook.js'] as const;

export async function startBench(sizes: Pick<Bench, 'rounds' | 'mebibytes'>): Promise<Bench> {
  const user = { name: 'acme', password: 'bench' };
  const dirs = { source: createTempDir('source'), backup: createTempDir('backup') };
  const [source, backup] = await Promise.all([
    startRegistry({ dir: dirs.source }),
    startRegistry({ dir: dirs.backup, users: [user] }),
  ]);
  const network = await startNetwork(source);
  const authDir = await createAuthDir(user);
  const peers = await findPeers(backup, user);
  const settings: Bench['settings'] = (namespace) => ({
    CLONER: 'registry',
    REGISTRY: backup.host,
    REGISTRY_NAMESPACE: namespace,
    REGISTRY_AUTH_DIR: authDir,
    LOG_LEVEL: 'warn',
  });
  return {
    ...sizes,
    source: { ...source, dataDir: join(dirs.source, 'data') },
    network,
    backup,
    backupConnections: () => countConnections(join(dirs.backup, 'stderr.log')),
    user,
    peers,
    settings,
    startWebhook: (namespace, { env = {}, tls } = {}) =>
      startWebhook({
        command: bundle,
        env: { ...settings(namespace), ...env },
        ...(tls !== undefined && { tls }),
      }),
    stop: async () => {
      await Promise.all([network.stop(), source.stop(), backup.stop()]);
    },
  };
}

/** The addresses of clients in the log of distribution. */
async function countConnections(logFile: string): Promise<number> {
  const line = /http\.request\.remoteaddr="([^"]+)".* http\.request\.useragent=image-cloner/g;
  const log = await readFile(logFile, 'utf8');
  return new Set([...log.matchAll(line)].map(([, address]) => address)).size;
}
