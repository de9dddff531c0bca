import { readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '../../errors.ts';
import type { Credentials } from '../../ports/index.ts';
import { createFileReloader, type ReloadReports } from '../file-reloader.ts';
import { type ConfiguredRegistry, findRegistryCredentials } from './docker-config.ts';

export interface RegistryAuthOptions extends ReloadReports {
  /** Mount path of the Secret `registry-auth`. */
  readonly dir: string;
  /** Selects the entry of a `.dockerconfigjson`. */
  readonly registry: ConfiguredRegistry;
}

const fileNames = ['.dockerconfigjson', 'username', 'password'];

/**
 * The backup's credentials from `username` and `password` or `.dockerconfigjson`, read again when they have changed, so that a rotated
 * Secret takes effect at once. Rejects with a `ConfigError` that names the file if the first read fails.
 */
export async function openRegistryAuth({
  dir,
  registry,
  ...reports
}: RegistryAuthOptions): Promise<() => Promise<Credentials>> {
  const read = (): Promise<Credentials> => readAuth(dir, registry);
  const files = ['..data', ...fileNames].map((name) => join(dir, name));
  return await createFileReloader({ what: 'credentials', name: dir, files, read, ...reports });
}

/** Whether the directory has any file of the Secret, complete or not. */
export async function hasRegistryAuth(dir: string): Promise<boolean> {
  const found = await Promise.all(
    fileNames.map((name) =>
      stat(join(dir, name)).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.includes(true);
}

async function readAuth(dir: string, registry: ConfiguredRegistry): Promise<Credentials> {
  // The kubelet replaces the link `..data`: resolved once, both files come from one version of the Secret.
  const base = await realpath(join(dir, '..data')).catch(() => dir);
  const config = await readIfThere(join(base, '.dockerconfigjson'));
  if (config !== undefined) return fromConfig(join(dir, '.dockerconfigjson'), config, registry);
  const [username, password] = await Promise.allSettled([
    readValue(base, dir, 'username'),
    readValue(base, dir, 'password'),
  ]);
  if (username.status === 'fulfilled' && password.status === 'fulfilled') {
    return { username: username.value, password: password.value };
  }
  const problems = [username, password].flatMap((result) =>
    result.status === 'rejected' && result.reason instanceof ConfigError
      ? result.reason.problems
      : [],
  );
  throw new ConfigError(problems);
}

function fromConfig(file: string, text: string, registry: ConfiguredRegistry): Credentials {
  let credentials: Credentials | undefined;
  try {
    credentials = findRegistryCredentials(text, registry);
  } catch (error) {
    throw unusable(file, error instanceof Error ? error.message : 'it cannot be read');
  }
  if (credentials === undefined)
    throw unusable(file, `it has no credentials for ${registry.domain}`);
  return credentials;
}

async function readValue(base: string, dir: string, name: string): Promise<string> {
  const value = (await readIfThere(join(base, name)))?.replace(/\r?\n$/, '');
  if (value === undefined) throw unusable(join(dir, name), 'it does not exist');
  if (value === '') throw unusable(join(dir, name), 'it is empty');
  return value;
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw unusable(file, code === 'EACCES' ? 'permission denied' : 'it cannot be read');
  }
}

function unusable(file: string, problem: string): ConfigError {
  return new ConfigError([
    `${file} cannot be used: ${problem}; mount the Secret registry-auth with username and password there`,
  ]);
}
