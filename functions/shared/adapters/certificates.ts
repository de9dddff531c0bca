import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { readCaFile } from '../../../lib/adapters/ca-file.ts';
import type { OnStale } from '../../../lib/adapters/file-reloader.ts';
import { ConfigError } from '../../../lib/errors.ts';
import type { Config, Logger } from '../../../lib/index.ts';
import { allOrProblems } from '../all-or-problems.ts';

type TlsFiles = Pick<NonNullable<Config['tls']>, 'certFile' | 'keyFile' | 'clientCaFile'>;

/** The certificate of the server and its key, in PEM. */
export interface Certificates {
  readonly cert: string;
  readonly key: string;
  /** The CAs of client certificates. Absent: the server requests none. */
  readonly ca?: string;
}

export interface WatchOptions {
  readonly files: TlsFiles;
  /** The certificates in use. */
  readonly loaded: Certificates;
  readonly onChange: (certificates: Certificates) => void;
  readonly logger: Logger;
  readonly onStale?: OnStale | undefined;
}

/** The kubelet updates a mounted Secret within a minute, so a second more does not matter. */
const pollMs = 1_000;

/** Reads and checks all files, so that an incomplete or mismatched pair never replaces a valid one. Rejects with `ConfigError`. */
export async function readCertificates(files: TlsFiles): Promise<Certificates> {
  const { certFile, keyFile, clientCaFile } = files;
  const [pair, ca] = await allOrProblems(
    [],
    [
      readPair(certFile, keyFile),
      clientCaFile === undefined ? undefined : readCaFile('TLS_CLIENT_CA_FILE', clientCaFile),
    ],
  );
  return { ...pair, ...(ca !== undefined && { ca }) };
}

/** Reloads the files when they change; if they are invalid, the last valid ones stay in use. Returns a function that stops it. */
export function watchCertificates({
  files,
  loaded,
  onChange,
  logger,
  onStale,
}: WatchOptions): () => void {
  let current = loaded;
  onStale?.(false);
  const reload = (): void => {
    readCertificates(files).then(
      (read) => {
        onStale?.(false);
        // The files of a Secret change together, and each of them triggers a reload.
        if (isDeepStrictEqual(read, current)) return;
        current = read;
        onChange(read);
        logger.info({ file: files.certFile }, 'certificate loaded');
      },
      (error: unknown) => {
        onStale?.(true);
        logger.warn(
          { err: error },
          'certificate cannot be loaded: the last valid one stays in use',
        );
      },
    );
  };
  const paths = [files.certFile, files.keyFile, files.clientCaFile ?? []].flat();
  for (const path of paths) watchFile(path, { interval: pollMs, persistent: false }, reload);
  return () => {
    for (const path of paths) unwatchFile(path, reload);
  };
}

async function readPair(
  certFile: string,
  keyFile: string,
): Promise<Pick<Certificates, 'cert' | 'key'>> {
  const [cert, key] = await allOrProblems([], [readPem(certFile), readPem(keyFile)]);
  try {
    createSecureContext({ cert, key });
    return { cert, key };
  } catch {
    // The message of OpenSSL names neither file nor cause.
    throw new ConfigError([
      `${certFile} and ${keyFile} are not a certificate and its private key in PEM`,
    ]);
  }
}

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw new ConfigError([`${file} cannot be read (${code}): HTTPS needs it`]);
  }
}
