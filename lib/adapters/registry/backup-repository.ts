import * as v from 'valibot';
import { CloneError } from '../../errors.ts';
import { isDigest } from '../../image/digest.ts';
import { canonicalRepository, type Repository } from '../../image/reference.ts';
import type { BackupRepository, RegistryAccess } from '../../ports/index.ts';
import {
  type OpenRepository,
  openWithSideErrors,
  parseManifest,
  requiredBlobs,
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

/** Some registries send null for an empty list. */
const referrersSchema = v.object({
  manifests: v.nullish(v.array(v.object({ digest: v.pipe(v.string(), v.check(isDigest)) })), []),
});

const subjectSchema = v.object({ subject: v.object({ digest: v.string() }) });

/** Opens one repository of the backup registry. */
export async function openBackupRepository(
  openRepository: OpenRepository,
  repository: Repository,
  access: RegistryAccess,
  signal: AbortSignal,
): Promise<BackupRepository> {
  const client = await openWithSideErrors(openRepository, repository, access, retryPolicy, signal);

  return {
    tags: client.listTags,

    async resolve(reference, within) {
      // A tag that is wrongly taken for absent would not protect its digest from prune.
      return (await client.resolveConfirmed(reference, within))?.digest;
    },

    async read(digest, within) {
      const served = await client.getManifest(digest, within);
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
          ...readSubject(served.bytes),
        };
      } catch (error) {
        throw toCloneError(error, { side: access.side, image: repository });
      }
    },

    async referrers(digest, within) {
      const served = await client.getReferrers(digest, within);
      const list = v.safeParse(referrersSchema, served && parseJson(served.bytes));
      // An unreadable list is none: what it names stays.
      return list.success ? (list.output.manifests ?? []).map((entry) => entry.digest) : [];
    },

    hasBlob: async (digest, within) => !(await client.lacksBlob(digest, within)),

    async tag(digest, name, within) {
      const manifest = await client.getManifest(digest, within);
      if (manifest === undefined) {
        throw new CloneError(
          'BACKUP_NOT_FOUND',
          `${canonicalRepository(repository)}@${digest} is not in the backup`,
        );
      }
      await writeTag(client, name, manifest, within);
    },

    async put({ manifest, config, mediaType, digest, configDigest }, name, within) {
      const bytes = new TextEncoder().encode(config);
      const descriptor = { mediaType: blobType, digest: configDigest, size: bytes.length };
      await writeSmallBlob(client, bytes, descriptor, within);
      const root = { bytes: new TextEncoder().encode(manifest), mediaType, digest };
      await writeTag(client, name, root, within);
    },

    async remove(digest, within) {
      const manifest = await client.getManifest(digest, within);
      try {
        await client.deleteManifest(digest, within);
      } catch (error) {
        const cause = error instanceof CloneError ? error.cause : undefined;
        if (!(cause instanceof RegistryError) || cause.status !== 405) throw error;
        const message = `the backup registry ${repository.domain} does not allow deletion (405); enable it, in distribution by storage.delete.enabled`;
        throw new CloneError('BACKUP_REFUSED', message, { cause });
      }
      return async () => {
        if (manifest !== undefined) await client.putManifest(digest, manifest, within);
      };
    },
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
  const client = await openWithSideErrors(openRepository, below, access, retryPolicy, signal);
  const all = await client.listRepositories(signal);
  return all.filter((name) => name.startsWith(`${path}/`)).map((name) => ({ domain, path: name }));
}

function readSubject(bytes: Uint8Array): { readonly subject?: string } {
  const manifest = v.safeParse(subjectSchema, parseJson(bytes));
  return manifest.success ? { subject: manifest.output.subject.digest } : {};
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/** Attestations are listed as images for `unknown/unknown`. */
function readPlatforms(bytes: Uint8Array): readonly string[] {
  const index = v.safeParse(platformsSchema, parseJson(bytes));
  if (!index.success) return [];
  const names = index.output.manifests.flatMap(({ platform }) => {
    if (platform === undefined || platform.os === 'unknown') return [];
    const { os, architecture, variant } = platform;
    return [[os, architecture, ...(variant === undefined ? [] : [variant])].join('/')];
  });
  return [...new Set(names)];
}
