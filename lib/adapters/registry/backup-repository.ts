import * as v from 'valibot';
import { CloneError } from '../../errors.ts';
import { canonicalRepository, type Repository } from '../../image/reference.ts';
import type {
  BackupManifest,
  BackupRepository,
  EmptyImage,
  RegistryAccess,
} from '../../ports/index.ts';
import {
  type OpenRepository,
  parseManifest,
  type RepositoryClient,
  requiredBlobs,
  withSideErrors,
} from './client/index.ts';
import { writeSmallBlob, writeTag } from './copy/index.ts';
import { RegistryError, toCloneError } from './errors/index.ts';

/** For commands: a user can wait longer than the API server. */
const retryPolicy = { maxAttempts: 4, maxRetryAfterMs: 30_000 };

const blobType = 'application/octet-stream';

/** Platforms are for display only. */
const platformsSchema = v.object({
  manifests: v.array(
    v.object({
      platform: v.fallback(
        v.optional(
          v.object({ os: v.string(), architecture: v.string(), variant: v.optional(v.string()) }),
        ),
        undefined,
      ),
    }),
  ),
});

/** Opens one repository of the backup registry. */
export async function openBackupRepository(
  openRepository: OpenRepository,
  repository: Repository,
  access: RegistryAccess,
  signal: AbortSignal,
): Promise<BackupRepository> {
  const context = { side: access.side, image: repository };
  const client = await open(openRepository, repository, access, signal);
  const sided = (within: AbortSignal): RepositoryClient => withSideErrors(client, context, within);

  async function resolve(reference: string, within: AbortSignal): Promise<string | undefined> {
    return (await sided(within).resolveManifest(reference, within))?.digest;
  }

  async function read(digest: string, within: AbortSignal): Promise<BackupManifest | undefined> {
    const served = await sided(within).getManifest(digest, within);
    if (served === undefined) return undefined;
    try {
      const manifest = parseManifest(served.bytes, served.mediaType);
      if (manifest.kind === 'index') {
        const children = manifest.manifests.map((child) => child.digest);
        return { children, blobs: [], platforms: readPlatforms(served.bytes) };
      }
      const blobs = requiredBlobs(manifest);
      return {
        children: [],
        blobs: blobs.map((blob) => blob.digest),
        bytes: blobs.reduce((sum, { size }) => sum + size, 0),
        platforms: [],
      };
    } catch (error) {
      throw toCloneError(error, context);
    }
  }

  async function tag(digest: string, name: string, within: AbortSignal): Promise<void> {
    const manifest = await sided(within).getManifest(digest, within);
    if (manifest === undefined) {
      throw new CloneError(
        'BACKUP_NOT_FOUND',
        `${canonicalRepository(repository)}@${digest} is not in the backup`,
      );
    }
    await writeTag(sided(within), name, manifest, within);
  }

  async function put(image: EmptyImage, name: string, within: AbortSignal): Promise<void> {
    const { mediaType, digest, configDigest } = image;
    const to = sided(within);
    const [manifest, config] = [image.manifest, image.config].map((text) =>
      new TextEncoder().encode(text),
    );
    if (manifest === undefined || config === undefined) return;
    const descriptor = { mediaType: blobType, digest: configDigest, size: config.length };
    await writeSmallBlob(to, config, descriptor, within);
    await writeTag(to, name, { bytes: manifest, mediaType, digest }, within);
  }

  async function remove(digest: string, within: AbortSignal): Promise<() => Promise<void>> {
    const to = sided(within);
    const manifest = await to.getManifest(digest, within);
    try {
      await client.deleteManifest(digest, within);
    } catch (error) {
      within.throwIfAborted();
      if (!(error instanceof RegistryError) || error.status !== 405)
        throw toCloneError(error, context);
      const { domain } = repository;
      const message = `the backup registry ${domain} does not allow deletion (405); enable it, in distribution by storage.delete.enabled`;
      throw new CloneError('BACKUP_REFUSED', message, { cause: error });
    }
    return async () => {
      if (manifest !== undefined) await to.putManifest(digest, manifest, within);
    };
  }

  return {
    tags: (within) => sided(within).listTags(within),
    resolve,
    read,
    hasBlob: async (digest, within) => !(await sided(within).lacksBlob(digest, within)),
    tag,
    put,
    remove,
  };
}

/** Lists the repositories below a path of a registry. */
export async function listRepositories(
  openRepository: OpenRepository,
  below: Repository,
  access: RegistryAccess,
  signal: AbortSignal,
): Promise<readonly Repository[]> {
  const { domain, path } = below;
  const client = await open(openRepository, below, access, signal);
  try {
    const all = await client.listRepositories(signal);
    return all
      .filter((name) => name.startsWith(`${path}/`))
      .map((name) => ({ domain, path: name }));
  } catch (error) {
    signal.throwIfAborted();
    throw toCloneError(error, { side: access.side, image: below });
  }
}

async function open(
  openRepository: OpenRepository,
  repository: Repository,
  access: RegistryAccess,
  signal: AbortSignal,
): Promise<RepositoryClient> {
  try {
    return await openRepository(repository, access, retryPolicy, signal);
  } catch (error) {
    throw toCloneError(error, { side: access.side, image: repository });
  }
}

/** Attestations are listed as images for `unknown/unknown`. */
function readPlatforms(bytes: Uint8Array): readonly string[] {
  const index = v.safeParse(platformsSchema, JSON.parse(new TextDecoder().decode(bytes)));
  if (!index.success) return [];
  const names = index.output.manifests.flatMap(({ platform }) => {
    if (platform === undefined || platform.os === 'unknown') return [];
    const { os, architecture, variant } = platform;
    return [[os, architecture, ...(variant === undefined ? [] : [variant])].join('/')];
  });
  return [...new Set(names)];
}
