import type { CloneError, Side } from '../errors.ts';
import type { Reference, Repository } from '../image/reference.ts';
import type { Credentials } from './credentials.ts';

/** Credentials for one side; anonymous if absent. */
export interface RegistryAccess {
  readonly side: Side;
  readonly credentials?: Credentials | undefined;
}

/** The result of resolving a tag or digest at a registry. */
export interface ResolvedImage {
  readonly digest: string;
  /** An index lists one manifest for each platform. */
  readonly isIndex: boolean;
  /** Whether the result comes from a cache, or from another caller's request. @default false */
  readonly isRemembered?: boolean;
}

export interface ResolveOptions {
  /** Bypasses caches. */
  readonly isFresh?: boolean;
  /** Something final follows, so that an absence is confirmed. The absence of a source always is. */
  readonly isFinal?: boolean;
}

/** The progress of a copy, in bytes of the compressed layers that are known so far. */
export interface CopyProgress {
  readonly phase: 'pull' | 'push' | 'copy';
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** The part of `doneBytes` that was transferred; the target had the rest already. @default all of them */
  readonly movedBytes?: number;
}

/** The progress of a running copy with its rate and estimate. */
export interface CopyReading {
  readonly elapsedMs: number;
  /** Absent until the size is known. It does not decrease within one phase. */
  readonly now?: CopyProgress;
  /** The average of the last seconds. */
  readonly bytesPerSecond?: number;
  /** At that rate; during a pull it includes the push that follows. */
  readonly remainingMs?: number;
  /** Time since the last byte was transferred. */
  readonly idleMs: number;
}

/** A manifest, byte by byte. */
export interface ManifestBytes {
  readonly mediaType: string;
  readonly digest: string;
  readonly bytes: Uint8Array;
}

/** What a copy will consist of, decided before anything is written. */
export interface CopyPlan {
  /** The digest of the copy; absent if only the copy itself shows it. */
  readonly digest?: string;
  /** Manifests that are known by now; those that the source does not have are among them. */
  readonly manifests?: readonly ManifestBytes[];
}

/** How a cloner whose copies may lack platforms, and then have another digest than their source, names and plans them. */
export interface PlatformSelection {
  /** Identifies what is copied of a source, for the provenance tag of the copy. */
  readonly originOf: (sourceDigest: string) => string;
  /** Absent if only a copy itself shows its digest. */
  plan?(
    source: Reference & { readonly digest: string },
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<CopyPlan>;
}

export interface CopyRequest {
  /** By digest, so that the copied image is the one that was checked. */
  readonly source: Reference & { readonly digest: string };
  /** Whether to check also what is below manifests that the target has, because it may have lost blobs. @default false */
  readonly isRepair?: boolean;
  readonly sourceAccess: RegistryAccess;
  readonly target: Repository;
  readonly targetAccess: RegistryAccess;
  /** Written with the content, because a docker daemon cannot push without a tag. */
  readonly firstTag: string;
  /**
   * Whether other repositories of the target may get its layers without a transfer: the operator, or everybody, could open the source.
   * @default false
   */
  readonly mayShareLayers?: boolean;
  /** @default a copy with the digest of its source, if the cloner can choose */
  readonly plan?: CopyPlan | undefined;
}

/** An image and its copy; the digest is that of the image. */
export type ReferrersRequest = Pick<
  CopyRequest,
  'source' | 'sourceAccess' | 'target' | 'targetAccess'
>;

/** Copies what was found into the target, which has the image by then. */
export type CopyReferrers = (signal: AbortSignal) => Promise<void>;

/** An image whose content and first tag are in the target. */
export interface CopiedImage {
  /** The digest in the target. */
  readonly digest: string;
  /** Bytes transferred into the target, without layers that it had already. */
  readonly bytes: number;
  /** Warnings about a copy that succeeded. */
  readonly warnings: readonly string[];
  /** Gives the copy more tags, in this order, in one attempt. Rejects with a `CloneError`. */
  writeTags(tags: readonly string[], signal: AbortSignal): Promise<void>;
  /** Frees what the adapter keeps for `writeTags`. Must be called once; never rejects. */
  release(): Promise<void>;
}

/**
 * Resolves and copies images. Failures are `CloneError`s whose code names the side.
 * The policy does not know which adapter it has.
 */
export interface ImageCloner {
  /** Absent if every copy has all platforms and the digest of its source. */
  readonly selection?: PlatformSelection | undefined;
  /**
   * The digest that `image` has now; `undefined` if the registry answers that it is absent. Rejects if the answer is unclear.
   */
  resolve(
    image: Reference,
    access: RegistryAccess,
    signal: AbortSignal,
    options?: ResolveOptions,
  ): Promise<ResolvedImage | undefined>;
  /** Makes the target hold the source under `firstTag`; resolves when a kubelet can pull it. */
  copy(
    request: CopyRequest,
    signal: AbortSignal,
    onProgress: (progress: CopyProgress) => void,
  ): Promise<CopiedImage>;
  /**
   * Finds signatures and attestations of an image: cosign's tags and OCI 1.1 referrers. Absent if copies have other digests.
   */
  findReferrers?(request: ReferrersRequest, signal: AbortSignal): Promise<CopyReferrers>;
  /**
   * Whether a registry has everything below a digest; rejects without a clear answer. Absent if the adapter would have to pull
   * the image.
   */
  isComplete?(
    image: Repository & { readonly digest: string },
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Writes tags whose names are their only content. Absent if the adapter does not connect to registries itself. */
  mark?(
    target: Repository,
    tags: readonly string[],
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<void>;
  /** Every tag of a repository. Present if `mark` is. */
  listTags?(
    target: Repository,
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<readonly string[]>;
}

/** What happened to one image of a review. */
export type CloneOutcome =
  | {
      readonly status: 'ready';
      /** The reference to write into the object. */
      readonly image: Reference;
      /** The digest in the backup, also if `image` has none. Absent in a dry run that does not know it. */
      readonly digest?: string;
      /** `planned`: a dry run that would have copied. `fallback`: the source failed and the backup is used. */
      readonly result: 'present' | 'copied' | 'fallback' | 'planned';
      readonly bytes: number;
      readonly durationMs: number;
      readonly warnings: readonly string[];
    }
  | { readonly status: 'failed'; readonly error: CloneError }
  | {
      /** The copy continues, or begins, after the response. */
      readonly status: 'pending';
      /** `postponed`: the copy is not queued, and a later review begins it. @default copying */
      readonly stage?: 'copying' | 'waiting' | 'postponed';
      /** `43 %, 112 of 260 MiB, about 13 s to go at 11 MiB/s` */
      readonly detail: string;
      readonly retryAfterSeconds: number;
    };
