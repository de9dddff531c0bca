import { stat } from 'node:fs/promises';
import { rootCertificates } from 'node:tls';
import type { Logger } from '../../../ports/index.ts';
import { readCaFile } from '../../ca-file.ts';
import { createFileReloader, type OnStale } from '../../file-reloader.ts';

/** What registries' certificates are trusted by, which changes while we run. */
export interface CaBundle {
  /** In PEM; the same array for as long as nothing has changed. */
  readonly certificates: () => readonly string[];
  /** Looks whether something has changed. Rejects never. */
  readonly refresh: () => Promise<void>;
}

export interface CaBundleOptions {
  /** `REGISTRY_CA_FILE`: certificates in PEM, trusted beside the system's. */
  readonly file: string;
  readonly logger: Logger;
  readonly onStale?: OnStale | undefined;
}

/** Reads the file again when it has changed; what cannot be used leaves the last good certificates in use. Rejects with `ConfigError`. */
export async function openCaBundle({ file, ...options }: CaBundleOptions): Promise<CaBundle> {
  let version: string | undefined;
  let certificates: readonly string[] = [];

  async function read(): Promise<void> {
    const found = await versionOf(file);
    if (found !== undefined && found === version) return;
    certificates = [...rootCertificates, await readCaFile('REGISTRY_CA_FILE', file)];
    version = found;
  }

  const refresh = await createFileReloader({ what: 'certificates', name: file, read, ...options });
  return { certificates: () => certificates, refresh };
}

/** The kubelet swaps a link, so it is another file then. */
async function versionOf(file: string): Promise<string | undefined> {
  try {
    const { dev, ino, size, mtimeNs } = await stat(file, { bigint: true });
    return [dev, ino, size, mtimeNs].join(' ');
  } catch {
    // Whoever reads it says what is wrong.
    return undefined;
  }
}
