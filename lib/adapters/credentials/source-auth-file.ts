import { readFile } from 'node:fs/promises';
import { ConfigError } from '../../errors.ts';
import type { CredentialSource } from '../../ports/index.ts';
import { createFileReloader, type ReloadReports } from '../file-reloader.ts';
import { listUnusedCredentials, parseDockerConfigWithTokens } from './docker-config.ts';
import type { Keyring } from './keyring.ts';

export interface SourceAuthFileOptions extends ReloadReports {
  readonly file: string;
}

/**
 * Credentials from a docker `config.json`, read again when it has changed. Logs what gives no credentials when the file changes. Rejects with
 * `ConfigError` if the first read fails.
 */
export async function openSourceAuthFile({
  file,
  ...reports
}: SourceAuthFileOptions): Promise<CredentialSource> {
  let logged: string | undefined;
  async function read(): Promise<Keyring> {
    const { text, keyring } = await readConfig(file);
    if (text !== logged) {
      logged = text;
      for (const part of listUnusedCredentials(text)) {
        reports.logger.warn({ file }, `SOURCE_AUTH_FILE: ${part}`);
      }
    }
    return keyring;
  }
  const keyring = await createFileReloader({
    what: 'credentials',
    name: file,
    files: [file],
    read,
    ...reports,
  });
  return { credentialsFor: async (image) => (await keyring()).find(image) };
}

async function readConfig(
  file: string,
): Promise<{ readonly text: string; readonly keyring: Keyring }> {
  try {
    const text = await readFile(file, 'utf8');
    return { text, keyring: parseDockerConfigWithTokens(text) };
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
