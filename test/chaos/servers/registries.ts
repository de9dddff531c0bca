import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createMemoryRegistry,
  type MemoryRegistry,
  serveMemoryRegistry,
} from '../../../lib/memory-registry/index.ts';
import { type Registry, startRegistry } from '../../real/support/docker-registry.ts';
import { createTempDir } from '../../real/support/janitor.ts';
import { findProgram } from '../../real/support/program.ts';
import { type Secret, toSecrets } from '../audit/secrets.ts';
import type { Sources } from '../catalogue.ts';
import type { Login } from './auth-mount.ts';
import type { Role } from './faults.ts';

const user = 'chaos';
/** User of the backup after the rotation. */
const nextUser = 'chaos-next';

/** The servers behind the proxies. */
export interface Registries {
  readonly sources: Sources;
  /** Addresses of the servers themselves, for the proxies and the auditor. */
  readonly hosts: Readonly<Record<Role, string>>;
  readonly vault: Login;
  readonly safe: Login;
  /** Both logins are valid at the backup from the start. */
  readonly backup: { readonly login: Login; readonly next: Login };
  /** Credentials that must not appear elsewhere, tokens included. */
  readonly secrets: () => readonly Secret[];
  /** Uploads at the backup that were neither completed nor cancelled. */
  readonly openUploads: () => Promise<readonly string[]>;
  readonly stop: () => Promise<void>;
}

export type BackupKind = 'memory' | 'real';

/** A public registry, two registries with token servers (only pull secrets open the second), and a backup with a password. */
export async function startRegistries(backupKind: BackupKind, seed: string): Promise<Registries> {
  // They must not look like a digest or a name by chance.
  const toLogin = (name: string, where: string): Login => ({
    name,
    password: `${where}/${seed}+p4ss%:w0rd`,
  });
  const vaultLogin = toLogin(user, 'vault');
  const safeLogin = toLogin('safe-reader', 'safe');
  const backup = { login: toLogin(user, 'backup'), next: toLogin(nextUser, 'next backup') };
  const backupLogins = [backup.login, backup.next];
  const hub = createMemoryRegistry();
  const vault = createMemoryRegistry({
    auth: { scheme: 'bearer', users: toUsers([vaultLogin]) },
  });
  const safe = createMemoryRegistry({
    auth: { scheme: 'bearer', users: toUsers([safeLogin]) },
  });
  const memory = createMemoryRegistry({
    auth: { scheme: 'basic', users: toUsers(backupLogins) },
  });
  const served = await Promise.all(
    [hub, vault, safe, memory].map((registry) => serveMemoryRegistry({ registry })),
  );
  const [hubHost = '', vaultHost = '', safeHost = '', memoryHost = ''] = served.map(
    ({ host }) => host,
  );
  const real = backupKind === 'real' ? await startReal(backupLogins) : undefined;
  return {
    sources: { hub, vault, safe },
    hosts: { hub: hubHost, vault: vaultHost, safe: safeHost, backup: real?.host ?? memoryHost },
    vault: vaultLogin,
    safe: safeLogin,
    backup,
    secrets: () => [
      ...toSecrets('password', 'vault', vaultLogin),
      ...toSecrets('password', 'safe', safeLogin),
      ...toSecrets('password', 'backup', backup.login),
      ...toSecrets('next password', 'backup', backup.next),
      ...toTokens('vault', vault),
      ...toTokens('safe', safe),
    ],
    openUploads:
      real?.openUploads ??
      (() =>
        Promise.resolve(
          memory.store.uploads.list().map(({ repository, uuid }) => `${repository} ${uuid}`),
        )),
    stop: async () => {
      await Promise.all([...served.map((one) => one.close()), real?.stop()]);
    },
  };
}

function toTokens(owner: Role, { tokens }: MemoryRegistry): readonly Secret[] {
  return (tokens?.list() ?? []).map(({ token }) => ({ name: 'token', owner, value: token }));
}

function toUsers(logins: readonly Login[]): Readonly<Record<string, string>> {
  return Object.fromEntries(logins.map(({ name, password }) => [name, password]));
}

/** The real one if it is installed. */
export function chooseBackup(): BackupKind {
  try {
    findProgram('docker-registry');
    findProgram('htpasswd');
    return 'real';
  } catch {
    // Without it the run uses none.
    return 'memory';
  }
}

async function startReal(
  users: readonly Login[],
): Promise<Registry & Pick<Registries, 'openUploads'>> {
  const dir = createTempDir('backup');
  const registry = await startRegistry({ users, dir });
  const repositories = join(dir, 'data/docker/registry/v2/repositories');
  return {
    ...registry,
    // distribution 2.8 keeps the folder of a cancelled session, with the state of a hash in it.
    openUploads: async () =>
      (await readdir(repositories, { recursive: true })).filter((path) =>
        /\/_uploads\/[^/]+\/startedat$/.test(path),
      ),
  };
}
