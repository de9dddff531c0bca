import { stat } from 'node:fs/promises';
import { rootCertificates } from 'node:tls';
import { readCaFile } from '../../ca-file.ts';
import { createFileReloader, type ReloadReports } from '../../file-reloader.ts';

/** The CA certificates for registries; they can change at run time. */
export interface CaBundle {
  /** In PEM; the same array until they change. */
  readonly certificates: () => readonly string[];
  /** Reads the file again if it has changed, at most once a second. Never rejects. */
  readonly refresh: () => Promise<void>;
}

export interface CaBundleOptions extends ReloadReports {
  /** `REGISTRY_CA_FILE`: certificates in PEM, trusted in addition to the system's. */
  readonly file: string;
}

/** Opens the file; if it becomes unusable later, the last good certificates stay in use. Rejects with `ConfigError`. */
export async function openCaBundle({ file, ...options }: CaBundleOptions): Promise<CaBundle> {
  let version: string | undefined;
  let certificates: readonly string[] = [];

  async function read(): Promise<void> {
    const current = await versionOf(file);
    if (current !== undefined && current === version) return;
    certificates = [...rootCertificates, await readCaFile('REGISTRY_CA_FILE', file)];
    version = current;
  }

  const refresh = await createFileReloader({ what: 'certificates', name: file, read, ...options });
  return { certificates: () => certificates, refresh };
}

/** The kubelet replaces a symbolic link, so the inode changes. */
async function versionOf(file: string): Promise<string | undefined> {
  try {
    const { dev, ino, size, mtimeNs } = await stat(file, { bigint: true });
    return [dev, ino, size, mtimeNs].join(' ');
  } catch {
    // Reading the file reports the error.
    return undefined;
  }
}
