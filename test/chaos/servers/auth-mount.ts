import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTempDir } from '../../real/support/janitor.ts';

export interface Login {
  readonly name: string;
  readonly password: string;
}

/** The secret `registry-auth` as the kubelet mounts it. */
export interface AuthMount {
  readonly dir: string;
  /** Replaces it atomically: writes a new folder and swaps the link `..data`. */
  readonly swap: (login: Login) => void;
}

export function createAuthMount(login: Login): AuthMount {
  const dir = createTempDir('auth');
  let version = 0;

  function swap({ name, password }: Login): void {
    version += 1;
    const folder = `..version-${version}`;
    mkdirSync(join(dir, folder));
    writeFileSync(join(dir, folder, 'username'), name);
    writeFileSync(join(dir, folder, 'password'), password);
    symlinkSync(folder, join(dir, '..data_tmp'));
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
  }

  swap(login);
  for (const file of ['username', 'password']) symlinkSync(join('..data', file), join(dir, file));
  return { dir, swap };
}
