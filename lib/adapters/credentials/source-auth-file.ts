import { readFile } from 'node:fs/promises';
import { ConfigError } from '../../errors.ts';
import type { CredentialSource } from '../../ports/index.ts';
import { createFileReloader, type ReloadReports } from '../file-reloader.ts';
import { parseDockerConfig } from './docker-config.ts';
import type { Keyring } from './keyring.ts';

export interface SourceAuthFileOptions extends ReloadReports {
  readonly file: string;
}

/** Credentials from a docker `config.json`, read at each use. Rejects with `ConfigError` if the first read fails. */
export async function openSourceAuthFile({
  file,
  ...reports
}: SourceAuthFileOptions): Promise<CredentialSource> {
  const read = (): Promise<Keyring> => readKeyring(file);
  const keyring = await createFileReloader({ what: 'credentials', name: file, read, ...reports });
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
