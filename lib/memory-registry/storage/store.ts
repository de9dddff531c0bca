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
  /** As they were pushed: the digest is theirs. */
  readonly bytes: Bytes;
  readonly content: ManifestContent;
}

/** What a memory registry holds, for the protocol to serve and for tests to look at. */
export interface Store {
  /** Those that hold anything, sorted. */
  readonly repositories: () => readonly string[];
  /** Whether a manifest was ever pushed there. */
  readonly isKnown: (repository: string) => boolean;
  /** Sorted. */
  readonly tags: (repository: string) => readonly string[];
  /** Digests of the manifests, in the order they came. */
  readonly manifests: (repository: string) => readonly string[];
  /** Digests of the blobs, in the order they came. */
  readonly blobs: (repository: string) => readonly string[];
  /** By tag or by digest. */
  readonly manifest: (repository: string, reference: string) => StoredManifest | undefined;
  readonly blob: (repository: string, digest: string) => StoredBlob | undefined;
  /** Those whose `subject` is this digest, in the order they came. */
  readonly referrers: (repository: string, digest: string) => readonly StoredManifest[];
  /** Sessions that were begun and neither ended nor cancelled. */
  readonly uploads: Uploads;
  readonly putBlob: (repository: string, content: Bytes | StoredBlob) => StoredBlob;
  /** Checks nothing but the form: holes can be made on purpose. */
  readonly putManifest: (
    repository: string,
    manifest: PushedManifest,
    tag?: string,
  ) => StoredManifest;
  readonly deleteBlob: (repository: string, digest: string) => boolean;
  /** By digest, with every tag that holds it; or one tag. */
  readonly deleteManifest: (repository: string, reference: string) => boolean;
}

interface PushedManifest {
  readonly mediaType: string;
  readonly bytes: Bytes;
  /** @default its sha256 */
  readonly digest?: string;
}

interface Repository {
  readonly tags: Map<string, string>;
  readonly manifests: Map<string, StoredManifest>;
  readonly blobs: Map<string, StoredBlob>;
  isKnown: boolean;
}

/** An empty store. */
export function createStore(): Store {
  const repositories = new Map<string, Repository>();

  const open = (name: string): Repository => {
    const found = repositories.get(name);
    if (found !== undefined) return found;
    const made = { tags: new Map(), manifests: new Map(), blobs: new Map(), isKnown: false };
    repositories.set(name, made);
    return made;
  };

  return {
    repositories: () => keysOf(repositories).toSorted(),
    isKnown: (name) => repositories.get(name)?.isKnown ?? false,
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
      repository.isKnown = true;
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

/** Puts an image, with all that it needs, into the store as `library/nginx:1.27`; without a tag, by digest only. */
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
