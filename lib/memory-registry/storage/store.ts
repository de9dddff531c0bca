import {
  type Bytes,
  type Image,
  type ManifestContent,
  parseManifest,
  toDigest,
} from '../images/index.ts';
import { createUploads, type Uploads } from './uploads.ts';

export interface StoredBlob {
  readonly digest: string;
  readonly size: number;
  readonly chunks: readonly Bytes[];
}

export interface StoredManifest {
  readonly digest: string;
  readonly mediaType: string;
  /** The bytes as pushed, which the digest covers. */
  readonly bytes: Bytes;
  readonly content: ManifestContent;
}

/** The contents of a memory registry. */
export interface Store {
  /** Repositories with any content, sorted. */
  readonly repositories: () => readonly string[];
  /** Whether a manifest was ever pushed to the repository. */
  readonly exists: (repository: string) => boolean;
  /** Sorted. */
  readonly tags: (repository: string) => readonly string[];
  /** Digests of the manifests, oldest first. */
  readonly manifests: (repository: string) => readonly string[];
  /** Digests of the blobs, oldest first. */
  readonly blobs: (repository: string) => readonly string[];
  /** By tag or by digest. */
  readonly manifest: (repository: string, reference: string) => StoredManifest | undefined;
  readonly blob: (repository: string, digest: string) => StoredBlob | undefined;
  /** Manifests whose `subject` is this digest, oldest first. */
  readonly referrers: (repository: string, digest: string) => readonly StoredManifest[];
  readonly uploads: Uploads;
  readonly putBlob: (repository: string, content: Bytes | StoredBlob) => StoredBlob;
  /** Does not check that blobs and children exist, so a test can store an incomplete image. */
  readonly putManifest: (
    repository: string,
    manifest: PushedManifest,
    tag?: string,
  ) => StoredManifest;
  readonly deleteBlob: (repository: string, digest: string) => boolean;
  /** Deletes a manifest and all its tags if given a digest, or only the given tag. */
  readonly deleteManifest: (repository: string, reference: string) => boolean;
}

interface PushedManifest extends Pick<StoredManifest, 'mediaType' | 'bytes'> {
  /** @default its sha256 */
  readonly digest?: string;
}

interface Repository {
  readonly tags: Map<string, string>;
  readonly manifests: Map<string, StoredManifest>;
  readonly blobs: Map<string, StoredBlob>;
  exists: boolean;
}

export function createStore(): Store {
  const repositories = new Map<string, Repository>();

  const open = (name: string): Repository => {
    const existing = repositories.get(name);
    if (existing !== undefined) return existing;
    const created = { tags: new Map(), manifests: new Map(), blobs: new Map(), exists: false };
    repositories.set(name, created);
    return created;
  };

  return {
    repositories: () => keysOf(repositories).toSorted(),
    exists: (name) => repositories.get(name)?.exists ?? false,
    tags: (name) => keysOf(repositories.get(name)?.tags).toSorted(),
    manifests: (name) => keysOf(repositories.get(name)?.manifests),
    blobs: (name) => keysOf(repositories.get(name)?.blobs),
    manifest: (name, reference) => {
      const repository = repositories.get(name);
      return repository?.manifests.get(repository.tags.get(reference) ?? reference);
    },
    blob: (name, digest) => repositories.get(name)?.blobs.get(digest),
    referrers: (name, digest) =>
      [...(repositories.get(name)?.manifests.values() ?? [])].filter(
        ({ content }) => content.subject?.digest === digest,
      ),
    uploads: createUploads(),
    putBlob: (name, content) => {
      const blob = content instanceof Uint8Array ? toBlob(content) : content;
      open(name).blobs.set(blob.digest, blob);
      return blob;
    },
    putManifest: (name, { mediaType, bytes, digest = toDigest(bytes) }, tag) => {
      const content = parseManifest(mediaType, bytes);
      const manifest = { digest, mediaType, bytes, content };
      const repository = open(name);
      repository.exists = true;
      repository.manifests.set(manifest.digest, manifest);
      if (tag !== undefined) repository.tags.set(tag, manifest.digest);
      return manifest;
    },
    deleteBlob: (name, digest) => repositories.get(name)?.blobs.delete(digest) ?? false,
    deleteManifest: (name, reference) => {
      const repository = repositories.get(name);
      if (repository === undefined) return false;
      if (repository.tags.delete(reference)) return true;
      for (const [tag, digest] of repository.tags) {
        if (digest === reference) repository.tags.delete(tag);
      }
      return repository.manifests.delete(reference);
    },
  };
}

/** Stores an image with its blobs and children as `library/nginx:1.27`, or by digest only if `name` has no tag. */
export function seed({ store }: { readonly store: Store }, name: string, image: Image): Image {
  const [repository = '', tag] = name.split(':');
  const put = ({ mediaType, bytes, blobs, children }: Image, tag?: string): void => {
    for (const child of children) put(child);
    for (const blob of blobs) store.putBlob(repository, blob.bytes);
    store.putManifest(repository, { mediaType, bytes }, tag);
  };
  put(image, tag);
  return image;
}

function toBlob(bytes: Bytes): StoredBlob {
  return { digest: toDigest(bytes), size: bytes.length, chunks: [bytes] };
}

function keysOf(map: ReadonlyMap<string, unknown> | undefined): readonly string[] {
  return [...(map?.keys() ?? [])];
}
