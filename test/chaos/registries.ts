import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createMemoryRegistry, serveMemoryRegistry } from '../../lib/memory-registry/index.ts';
import { type Registry, startRegistry } from '../real/support/docker-registry.ts';
import { createTempDir } from '../real/support/janitor.ts';
import { findProgram } from '../real/support/program.ts';
import type { Secret } from './audit/secrets.ts';
import { toSecrets } from './audit/secrets.ts';
import type { Sources } from './catalogue.ts';

export const user = 'chaos';

/** Everything behind the taps. */
export interface Registries {
  readonly sources: Sources;
  /** Where they really are, for the taps and for the auditor. */
  readonly hosts: Readonly<Record<'hub' | 'vault' | 'backup', string>>;
  readonly passwords: Readonly<Record<'vault' | 'backup', string>>;
  /** All that must never be seen elsewhere, tokens included. */
  readonly secrets: () => readonly Secret[];
  /** Uploads at the backup that were begun and neither ended nor given up. */
  readonly openUploads: () => Promise<readonly string[]>;
  readonly stop: () => Promise<void>;
}

export type BackupKind = 'memory' | 'real';

/** A public registry, one with a token server, and a backup with a password. */
export async function startRegistries(backupKind: BackupKind, seed: string): Promise<Registries> {
  // Nothing of them may look like a digest or a name by chance.
  const passwords = { vault: `vault/${seed}+p4ss%:w0rd`, backup: `backup/${seed}+p4ss%:w0rd` };
  const hub = createMemoryRegistry();
  const vault = createMemoryRegistry({
    auth: { scheme: 'bearer', users: { [user]: passwords.vault } },
  });
  const memory = createMemoryRegistry({
    auth: { scheme: 'basic', users: { [user]: passwords.backup } },
  });
  const served = await Promise.all(
    [hub, vault, memory].map((registry) => serveMemoryRegistry({ registry })),
  );
  const [hubHost = '', vaultHost = '', memoryHost = ''] = served.map(({ host }) => host);
  const real = backupKind === 'real' ? await startReal(passwords.backup) : undefined;
  return {
    sources: { hub, vault },
    hosts: { hub: hubHost, vault: vaultHost, backup: real?.host ?? memoryHost },
    passwords,
    secrets: () => [
      ...toSecrets('password of the vault', user, passwords.vault),
      ...toSecrets('password of the backup', user, passwords.backup),
      ...(vault.tokens?.list() ?? []).map(({ token }) => ({ name: 'token', value: token })),
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

/** The real one where it is installed. */
export function chooseBackup(): BackupKind {
  try {
    findProgram('docker-registry');
    findProgram('htpasswd');
    return 'real';
  } catch {
    // Any machine can do without.
    return 'memory';
  }
}

async function startReal(password: string): Promise<Registry & Pick<Registries, 'openUploads'>> {
  const dir = createTempDir('backup');
  const registry = await startRegistry({ users: [{ name: user, password }], dir });
  const repositories = join(dir, 'data/docker/registry/v2/repositories');
  return {
    ...registry,
    // Of a session that was given up distribution 2.8 leaves the folder, with the state of a hash in it.
    openUploads: async () =>
      (await readdir(repositories, { recursive: true })).filter((path) =>
        /\/_uploads\/[^/]+\/startedat$/.test(path),
      ),
  };
}
