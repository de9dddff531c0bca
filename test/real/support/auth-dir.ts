import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RegistryUser } from './docker-registry.ts';
import { createTempDir } from './janitor.ts';

/** Creates a `REGISTRY_AUTH_DIR` with the files of the Secret `registry-auth`. */
export async function createAuthDir({ name, password }: RegistryUser): Promise<string> {
  const dir = createTempDir('auth');
  await writeFile(join(dir, 'username'), name);
  await writeFile(join(dir, 'password'), password);
  return dir;
}
