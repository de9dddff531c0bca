import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '../../errors.ts';
import type { Credentials, Logger } from '../../ports/index.ts';
import { createFileReloader, type OnStale } from '../file-reloader.ts';
import { parseDockerConfig } from './docker-config.ts';

export interface RegistryAuthOptions {
  /** Where the secret `registry-auth` is mounted. */
  readonly dir: string;
  /** The backup's registry and path, for a `.dockerconfigjson` that holds several. */
  readonly registry: { readonly domain: string; readonly path: string };
  readonly logger: Logger;
  readonly onStale?: OnStale | undefined;
}

/**
 * The backup's credentials: `username` and `password`, or `.dockerconfigjson`, read whenever they are needed so that a
 * rotated secret is used at once. Rejects with `ConfigError` naming the file when there are none at the start.
 */
export async function openRegistryAuth({
  dir,
  registry,
  logger,
  onStale,
}: RegistryAuthOptions): Promise<() => Promise<Credentials>> {
  const read = (): Promise<Credentials> => readAuth(dir, registry);
  return await createFileReloader({ what: 'credentials', name: dir, read, logger, onStale });
}

async function readAuth(
  dir: string,
  registry: RegistryAuthOptions['registry'],
): Promise<Credentials> {
  // The kubelet swaps the link `..data`: resolved once, both files come from one version of the secret.
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
  throw allProblems([username, password]);
}

function fromConfig(
  file: string,
  text: string,
  { domain, path }: RegistryAuthOptions['registry'],
): Credentials {
  let found: Credentials | undefined;
  try {
    [found] = parseDockerConfig(text).find({ domain, path });
  } catch (error) {
    throw unusable(file, error instanceof Error ? error.message : 'it cannot be read');
  }
  if (found === undefined) throw unusable(file, `it has no credentials for ${domain}`);
  return found;
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
    throw unusable(file, code === 'EACCES' ? 'we may not read it' : 'it cannot be read');
  }
}

/** One error that names every file; anything but a problem with a file is thrown as it is. */
function allProblems(results: readonly PromiseSettledResult<unknown>[]): unknown {
  const reasons = results.flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  );
  const problems = reasons.flatMap((reason) =>
    reason instanceof ConfigError ? reason.problems : [],
  );
  return problems.length === 0 ? reasons[0] : new ConfigError(problems);
}

function unusable(file: string, problem: string): ConfigError {
  return new ConfigError([
    `${file} cannot be used: ${problem}; mount the secret registry-auth with username and password there`,
  ]);
}
