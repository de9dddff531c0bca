import { readFile } from 'node:fs/promises';
import { ConfigError } from '../../errors.ts';
import type { CredentialSource } from '../../ports/index.ts';
import { createFileReloader, type ReloadReports } from '../file-reloader.ts';
import { listUnusedCredentials, parseDockerConfig } from './docker-config.ts';
import type { Keyring } from './keyring.ts';

export interface SourceAuthFileOptions extends ReloadReports {
  readonly file: string;
}

/** Credentials from a docker `config.json`, read at each use; logs once what gives none. Rejects with `ConfigError` if the first read fails. */
export async function openSourceAuthFile({
  file,
  ...reports
}: SourceAuthFileOptions): Promise<CredentialSource> {
  const warnings = new Set<string>();
  async function read(): Promise<Keyring> {
    const { keyring, unused } = await readConfig(file);
    for (const warning of unused) {
      if (!warnings.has(warning)) reports.logger.warn({ file }, `SOURCE_AUTH_FILE: ${warning}`);
      warnings.add(warning);
    }
    return keyring;
  }
  const keyring = await createFileReloader({ what: 'credentials', name: file, read, ...reports });
  return { credentialsFor: async (image) => (await keyring()).find(image) };
}

async function readConfig(
  file: string,
): Promise<{ readonly keyring: Keyring; readonly unused: readonly string[] }> {
  try {
    const text = await readFile(file, 'utf8');
    return { keyring: parseDockerConfig(text), unused: listUnusedCredentials(text) };
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
