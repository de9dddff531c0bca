/** A manifest in the backup: what is below it, and what a person may want to know of it. */
export interface BackupManifest {
  /** Those that an index lists. */
  readonly children: readonly string[];
  /** Config and layers, without those that a registry need not have. */
  readonly blobs: readonly string[];
  /** Of all blobs; absent for an index. */
  readonly bytes?: number;
  /** `linux/arm64`, as an index tells; empty for a single image. */
  readonly platforms: readonly string[];
}

/** An image without layers, as it is to be written to the byte. */
export interface EmptyImage {
  readonly mediaType: string;
  readonly manifest: string;
  readonly digest: string;
  readonly config: string;
  readonly configDigest: string;
}

/**
 * One repository of the backup, for the people who look after it: reviews need none of this, and a docker daemon could do none of it.
 * What is not known for sure is thrown, never taken for absent. Failures are `CloneError`s `BACKUP_…`.
 */
export interface BackupRepository {
  /** Every tag; none where nothing was ever pushed. */
  tags(signal: AbortSignal): Promise<readonly string[]>;
  /** The digest that a tag, or a digest, stands for. */
  resolve(reference: string, signal: AbortSignal): Promise<string | undefined>;
  read(digest: string, signal: AbortSignal): Promise<BackupManifest | undefined>;
  hasBlob(digest: string, signal: AbortSignal): Promise<boolean>;
  /** Makes a tag hold what is on the repository already. */
  tag(digest: string, tag: string, signal: AbortSignal): Promise<void>;
  /** Makes a tag hold an image that is written for it. */
  put(image: EmptyImage, tag: string, signal: AbortSignal): Promise<void>;
  /** Removes a manifest, with every tag that holds it. Resolves with what puts it back, without the tags. */
  remove(digest: string, signal: AbortSignal): Promise<() => Promise<void>>;
}
