import type { CloneError, Side } from '../errors.ts';
import type { Reference, Repository } from '../image/reference.ts';
import type { Credentials } from './credentials.ts';

/** How to knock at a registry; without credentials, anonymously. */
export interface RegistryAccess {
  readonly side: Side;
  readonly credentials?: Credentials | undefined;
}

/** What a registry says an image is, right now. */
export interface ResolvedImage {
  readonly digest: string;
  /** An index lists one manifest for each platform. */
  readonly isIndex: boolean;
  /** Not asked for just now: somebody else was told so a while ago. @default false */
  readonly isRemembered?: boolean;
}

/** How far a copy is. Byte counts are those of the compressed layers that are known so far. */
export interface CopyProgress {
  readonly phase: 'pull' | 'push' | 'copy';
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Of `doneBytes`, what really had to be moved; the rest was there already. @default all of them */
  readonly movedBytes?: number;
}

/** How far a running copy is, and what can be told of the rest. */
export interface CopyReading {
  readonly elapsedMs: number;
  /** Absent until the size is known. Neither falls within one phase. */
  readonly now?: CopyProgress;
  /** Of the last seconds. */
  readonly bytesPerSecond?: number;
  /** What is left at that rate, a push that is to come included. */
  readonly remainingMs?: number;
  /** For so long nothing has moved. */
  readonly idleMs: number;
}

export interface CopyRequest {
  /** Names the image by digest: what is copied is what was checked. */
  readonly source: Reference & { readonly digest: string };
  /** Looks below what the target seems to hold, too: it has lost parts. @default false */
  readonly isMending?: boolean;
  readonly sourceAccess: RegistryAccess;
  readonly target: Repository;
  readonly targetAccess: RegistryAccess;
  /** Written first; it may depend on the source's digest only. */
  readonly firstTag: string;
  /** Written afterwards, in this order, once the digest in the target is known; readers look at the last one. */
  readonly moreTags: (digest: string) => readonly string[] | Promise<readonly string[]>;
}

export interface CopyResult {
  /** The digest that every tag written now holds. */
  readonly digest: string;
  /** Bytes that were moved into the target; layers that it already held do not count. */
  readonly bytes: number;
  /** What a person should know of a copy that succeeded. */
  readonly warnings?: readonly string[];
  /** Another replica made it while we waited. */
  readonly isElsewhere?: boolean;
}

/**
 * Looks at images and copies them. Failures are `CloneError`s whose code names the side.
 * The policy above it never learns which adapter it has.
 */
export interface ImageCloner {
  /** Whether a copy has the digest of its source, all platforms included. */
  readonly keepsDigest: boolean;
  /** What `image` is now, or `undefined` where the registry says that there is no such image. Moves no layer. */
  resolve(
    image: Reference,
    access: RegistryAccess,
    signal: AbortSignal,
    /** `isFresh`: whoever remembers answers asks anew. */
    options?: { readonly isFresh?: boolean },
  ): Promise<ResolvedImage | undefined>;
  /** Makes the target hold the source; resolves only when a kubelet could pull it. */
  copy(
    request: CopyRequest,
    signal: AbortSignal,
    onProgress: (progress: CopyProgress) => void,
  ): Promise<CopyResult>;
  /**
   * Whether a registry has everything below a digest that it has. Rejects where it does not say. Absent where nobody can find out
   * without pulling.
   */
  isComplete?(
    image: Repository & { readonly digest: string },
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Writes tags that mean something by their names alone. Only an adapter that speaks to registries itself can. */
  mark?(
    target: Repository,
    tags: readonly string[],
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<void>;
  /** Every tag of a repository. Present where `mark` is. */
  listTags?(
    target: Repository,
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<readonly string[]>;
}

/** What became of one image of a review. */
export type CloneOutcome =
  | {
      readonly status: 'ready';
      /** What is to be written into the object. */
      readonly image: Reference;
      /** `planned`: a dry run that would have copied. `fallback`: the source did not answer, the backup did. */
      readonly result: 'present' | 'copied' | 'fallback' | 'planned';
      readonly bytes: number;
      readonly durationMs: number;
      readonly warnings: readonly string[];
    }
  | { readonly status: 'failed'; readonly error: CloneError }
  | {
      /** The copy goes on after the answer, or begins after it. */
      readonly status: 'pending';
      /** @default copying */
      readonly stage?: 'copying' | 'waiting';
      /** `43 %, 112 of 260 MiB, about 13 s to go at 11 MiB/s` */
      readonly detail: string;
      readonly retryAfterSeconds: number;
    };
