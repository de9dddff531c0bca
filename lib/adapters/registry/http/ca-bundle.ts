import { rootCertificates } from 'node:tls';
import { readCaFile } from '../../ca-file.ts';
import { createFileReloader, type ReloadReports } from '../../file-reloader.ts';

/** The CA certificates for registries; they can change at run time. */
export interface CaBundle {
  /** In PEM; the same array until they change. */
  readonly certificates: () => readonly string[];
  /** Reads the file again if it has changed. Never rejects. */
  readonly refresh: () => Promise<void>;
}

export interface CaBundleOptions extends ReloadReports {
  /** `REGISTRY_CA_FILE`: certificates in PEM, trusted in addition to the system's. */
  readonly file: string;
}

/** Opens the file; if it becomes unusable later, the last good certificates stay in use. Rejects with `ConfigError`. */
export async function openCaBundle({ file, ...reports }: CaBundleOptions): Promise<CaBundle> {
  let certificates: readonly string[] = [];

  async function read(): Promise<void> {
    certificates = [...rootCertificates, await readCaFile('REGISTRY_CA_FILE', file)];
  }

  const refresh = await createFileReloader({
    what: 'certificates',
    name: file,
    files: [file],
    read,
    ...reports,
  });
  return { certificates: () => certificates, refresh };
}
