import { readFile } from 'node:fs/promises';
import { ConfigError } from '../../errors.ts';
import type { CredentialSource, Logger } from '../../ports/index.ts';
import { createFileReloader, type OnStale } from '../file-reloader.ts';
import { parseDockerConfig } from './docker-config.ts';
import type { Keyring } from './keyring.ts';

export interface SourceAuthFileOptions {
  readonly file: string;
  readonly logger: Logger;
  readonly onStale?: OnStale | undefined;
}

/** Credentials from a docker `config.json`, read at each use. Rejects with `ConfigError` if the first read fails. */
export async function openSourceAuthFile({
  file,
  logger,
  onStale,
}: SourceAuthFileOptions): Promise<CredentialSource> {
  const keyring = await createFileReloader<Keyring>({
    what: 'credentials',
    name: file,
    read: () => readKeyring(file),
    logger,
    onStale,
  });
  return { credentialsFor: async (image) => (await keyring()).find(image) };
}

async function readKeyring(file: string): Promise<Keyring> {
  try {
    return parseDockerConfig(await readFile(file, 'utf8'));
  } catch (error) {
    throw new ConfigError([
      `SOURCE_AUTH_FILE ${file} cannot be used: ${describe(error)}; mount a docker config.json there, or unset SOURCE_AUTH_FILE`,
    ]);
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'it cannot be read';
  if (!('code' in error)) return error.message;
  return error.code === 'ENOENT'
    ? 'it does not exist'
    : `it cannot be read (${String(error.code)})`;
}
