import { afterEach } from 'node:test';
import { openBackupRepository } from '../../../lib/adapters/registry/backup-repository.ts';
import { createClientPool } from '../../../lib/adapters/registry/client/client-pool.ts';
import { createRegistryCloner } from '../../../lib/adapters/registry/cloner.ts';
import { createFindEndpoint } from '../../../lib/adapters/registry/http/endpoint.ts';
import { createHttp } from '../../../lib/adapters/registry/http/http.ts';
import type { Platforms } from '../../../lib/image/platforms.ts';
import type {
  BackupRepository,
  CopiedImage,
  CopyRequest,
  ImageCloner,
} from '../../../lib/index.ts';
import {
  createMemoryRegistry,
  type MemoryRegistry,
  type MemoryRegistryOptions,
  type ServedRegistry,
  serveMemoryRegistry,
} from '../../../lib/memory-registry/index.ts';
import { copyWithTags } from '../../support/copy-with-tags.ts';

/** An in-memory registry on a port. */
export type Served = MemoryRegistry & ServedRegistry;

/** Two registries and a registry cloner between them, which never sleeps. */
export interface Bench {
  readonly source: Served;
  readonly backup: Served;
  readonly cloner: ImageCloner;
  /** Another one, of a process with these `PLATFORMS`. */
  selecting(platforms: Platforms): ImageCloner;
  /** The pauses that it would have made. */
  readonly pauses: number[];
  /** Copies `source/PATH@digest` to `backup/acme/PATH`, under `first` and then `last`. */
  copy(
    path: string,
    digest: string,
    options?: CopyOptions,
  ): Promise<Pick<CopiedImage, 'digest' | 'bytes' | 'warnings'>>;
  /** A repository of the backup. */
  repository(path: string): Promise<BackupRepository>;
  close(): Promise<void>;
}

interface CopyOptions extends Partial<CopyRequest> {
  /** @default last */
  readonly tags?: readonly string[];
  readonly signal?: AbortSignal;
  readonly onProgress?: Parameters<ImageCloner['copy']>[2];
}

interface BenchOptions {
  readonly source?: MemoryRegistryOptions;
  readonly backup?: MemoryRegistryOptions;
  readonly maxImageBytes?: number;
  /** Milliseconds. @default the system's clock */
  readonly now?: () => number;
}

export async function openBench(options: BenchOptions = {}): Promise<Bench> {
  const [source, backup] = await Promise.all([serve(options.source), serve(options.backup)]);
  const insecureRegistries = [source.host, backup.host];
  const settings = { insecureRegistries, insideCluster: false };
  const http = createHttp({ ...settings, configuredHosts: insecureRegistries });
  const pauses: number[] = [];
  const connections = {
    http,
    findEndpoint: createFindEndpoint({ ...settings, http }),
    random: () => 0.5,
    sleep: (ms: number, signal: AbortSignal) => {
      signal.throwIfAborted();
      pauses.push(ms);
      return Promise.resolve();
    },
  };
  const { maxImageBytes, now } = options;
  const clonerOptions = { ...connections, maxImageBytes, ...(now !== undefined && { now }) };
  const cloner = createRegistryCloner(clonerOptions);
  return {
    source,
    backup,
    cloner,
    selecting: (platforms) => createRegistryCloner({ ...clonerOptions, platforms }),
    pauses,
    copy: (path, digest, { tags = ['last'], signal, onProgress, ...changes } = {}) =>
      copyWithTags(
        cloner,
        {
          source: { domain: source.host, path, tag: '1', digest },
          sourceAccess: { side: 'source' },
          target: { domain: backup.host, path: `acme/${path}` },
          targetAccess: { side: 'backup' },
          firstTag: 'first',
          ...changes,
        },
        tags,
        signal,
        onProgress,
      ),
    repository: (path) =>
      openBackupRepository(
        createClientPool(connections),
        { domain: backup.host, path },
        { side: 'backup' },
        new AbortController().signal,
      ),
    close: async () => {
      await http.close();
      await Promise.all([source.close(), backup.close()]);
    },
  };
}

/** Opens benches that are closed after the test. */
export function useBench(): typeof openBench {
  const opened: Bench[] = [];
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((bench) => bench.close()));
  });
  return async (options) => {
    const bench = await openBench(options);
    opened.push(bench);
    return bench;
  };
}

async function serve(options: MemoryRegistryOptions = {}): Promise<Served> {
  const registry = createMemoryRegistry(options);
  return { ...registry, ...(await serveMemoryRegistry({ registry })) };
}

/** Everything below a manifest in the store of a registry: `manifest DIGEST` and `blob DIGEST` → bytes in hex. */
export function walk(
  { store }: Pick<MemoryRegistry, 'store'>,
  repository: string,
  reference: string,
): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const visit = (digest: string): void => {
    const manifest = store.manifest(repository, digest);
    if (manifest === undefined) throw new Error(`manifest ${digest} is missing`);
    found.set(`manifest ${manifest.digest} ${manifest.mediaType}`, toHex([manifest.bytes]));
    for (const child of manifest.content.children) visit(child);
    for (const wanted of manifest.content.blobs) {
      const blob = store.blob(repository, wanted);
      if (blob === undefined) throw new Error(`blob ${wanted} is missing`);
      found.set(`blob ${wanted}`, toHex(blob.chunks));
    }
  };
  visit(reference);
  return found;
}

/**
 * Upload sessions that were not cancelled. Distribution cancels no session that has received bytes, so an attempt is enough
 * for these.
 */
export function forgottenUploads({ store, requests }: MemoryRegistry): readonly string[] {
  const deleted = requests.list({ method: 'DELETE', kind: 'upload' }).map(({ path }) => path);
  return store.uploads
    .list()
    .filter(({ uuid, size }) => size === 0 || !deleted.some((path) => path.includes(uuid)))
    .map(({ uuid, size }) => `${uuid} with ${size} bytes`);
}

function toHex(chunks: readonly Uint8Array[]): string {
  return Buffer.concat(chunks).toString('hex');
}
