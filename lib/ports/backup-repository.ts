/** A manifest in the backup. */
export interface BackupManifest {
  /** Digests of the manifests that an index lists. */
  readonly children: readonly string[];
  /** Digests of config and layers, without layers that registries may not redistribute. */
  readonly blobs: readonly string[];
  /** Of all blobs; absent for an index. */
  readonly bytes?: number;
  /** `linux/arm64`, from an index; empty for a single image. */
  readonly platforms: readonly string[];
  /** The digest of the manifest that it describes, for a referrer of OCI 1.1. */
  readonly subject?: string;
}

/** An image without layers, byte for byte. */
export interface EmptyImage {
  readonly mediaType: string;
  readonly manifest: string;
  readonly digest: string;
  readonly config: string;
  readonly configDigest: string;
}

/**
 * One repository of the backup, for its administrators; reviews do not need it, and a docker daemon cannot provide it. Without
 * a clear answer a call rejects; failures are `CloneError`s `BACKUP_…`.
 */
export interface BackupRepository {
  /** Every tag; empty if nothing was ever pushed. */
  tags(signal: AbortSignal): Promise<readonly string[]>;
  /** The digest of a tag or digest; `undefined` if it does not exist. */
  resolve(reference: string, signal: AbortSignal): Promise<string | undefined>;
  read(digest: string, signal: AbortSignal): Promise<BackupManifest | undefined>;
  /** Digests of the manifests whose subject is `digest`; empty without the referrers API. */
  referrers(digest: string, signal: AbortSignal): Promise<readonly string[]>;
  hasBlob(digest: string, signal: AbortSignal): Promise<boolean>;
  /** Points a tag at a manifest that the repository has. */
  tag(digest: string, tag: string, signal: AbortSignal): Promise<void>;
  /** Writes an image and points a tag at it. */
  put(image: EmptyImage, tag: string, signal: AbortSignal): Promise<void>;
  /** Removes a manifest with every tag that holds it. Resolves with a function that restores the manifest, without its tags. */
  remove(digest: string, signal: AbortSignal): Promise<() => Promise<void>>;
}
