import type { CloneError, CloneErrorCode } from './errors.ts';
import type { Reference, Repository } from './image/reference.ts';

/** The two ends of a copy: where the image comes from, and the user's own registry. */
export type Side = 'source' | 'backup';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

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

/** Time that nobody can set: for durations and pauses, never for dates. */
export interface Clock {
  now(): number;
  /** Resolves after `ms`, or as soon as the signal fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** What a replica tells the others of a copy that it does. */
export interface CopyLease {
  /** The replica; no two processes have the same. */
  readonly holder: string;
  /** `host/path:tag` that will move. */
  readonly target: string;
  readonly sourceDigest: string;
  readonly reading: CopyReading;
}

/** A lease as it stands now. */
export interface StoredLease extends CopyLease {
  /** Another one after every write, also where nothing else changed. */
  readonly version: string;
}

/** `conflict`: somebody else was faster. `unavailable`: whether it was done, nobody knows. */
export type LeaseAnswer<Found> =
  | { readonly status: 'done'; readonly found: Found }
  | { readonly status: 'conflict' | 'forbidden' | 'unavailable' };

/**
 * One lease for each target, seen by all replicas alike. Writes are compared and swapped: of two that began from the same version,
 * one is done and the other a conflict. Never rejects, and has its own patience; the signal ends it sooner.
 */
export interface LeaseStore {
  list(signal: AbortSignal): Promise<LeaseAnswer<readonly StoredLease[]>>;
  /** Resolves with the version, as `replace` does; a conflict where there is one already. */
  create(lease: CopyLease, signal: AbortSignal): Promise<LeaseAnswer<string>>;
  /** A conflict also where there is none any more. */
  replace(lease: CopyLease, version: string, signal: AbortSignal): Promise<LeaseAnswer<string>>;
  /** A conflict where it is another version by now; gone already is done. */
  remove(
    lease: Pick<StoredLease, 'target' | 'version'>,
    signal: AbortSignal,
  ): Promise<LeaseAnswer<undefined>>;
}

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

/** Credentials for an image, in the order in which they are to be tried; anonymous access comes last by itself. */
export interface CredentialSource {
  credentialsFor(image: Repository): Promise<readonly Credentials[]>;
}

/** Which pull secrets a pod is given. */
export interface PullSecretRefs {
  readonly namespace: string;
  /** The pod's own `imagePullSecrets`; only where it names none, its ServiceAccount's count. */
  readonly names: readonly string[];
  /** @default `default`, as in Kubernetes */
  readonly serviceAccount?: string | undefined;
}

export interface WorkloadKeyring {
  /** What all secrets that could be read hold, in the kubelet's order. */
  readonly keyring: { find(image: Repository): readonly Credentials[] };
  /** What a person should know where that was not enough, at most 120 characters each. */
  readonly warnings: readonly string[];
}

/**
 * The secrets with which a workload pulls its images, read from its own namespace and no other, and remembered briefly.
 * Whatever the cluster answers, asking succeeds; only the signal's own reason is thrown.
 */
export interface WorkloadSecrets {
  keyring(of: PullSecretRefs, signal: AbortSignal): Promise<WorkloadKeyring>;
  /** The names on a ServiceAccount; `undefined` where nobody can tell: it may not be read, does not exist, or the API server is silent. */
  serviceAccountSecrets(
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<readonly string[] | undefined>;
  /** `undefined` where nobody can tell. */
  hasSecret(namespace: string, name: string, signal: AbortSignal): Promise<boolean | undefined>;
  /** After a registry refused what was found, or found nothing to try: the namespace is asked anew, once a second at most. */
  forget(namespace: string): void;
}

/** What a Namespace object says of itself, remembered briefly. */
export interface NamespaceAnnotations {
  /** `undefined` where nobody can tell. Only the signal's own reason is thrown. */
  read(namespace: string, signal: AbortSignal): Promise<ReadonlyMap<string, string> | undefined>;
}

/** What is counted; the adapter decides how it is called and shown. */
export interface Observer {
  reviewed(event: ReviewEvent): void;
  cloned(event: CloneEvent): void;
  /** Whether the backup registry gave a usable answer just now. */
  backupAnswered(isUp: boolean): void;
}

export interface ReviewEvent {
  readonly kind: string;
  readonly operation: string;
  readonly verdict: 'untouched' | 'patched' | 'denied' | 'retry' | 'error';
  readonly seconds: number;
}

/** One copy, however many reviews waited for it; or one review that needed none, or could have none. */
export interface CloneEvent {
  readonly result: 'copied' | 'present' | 'fallback' | 'failed';
  /** The error's code; empty where there is none. */
  readonly reason: CloneErrorCode | '';
  readonly seconds: number;
  readonly bytes: number;
}

type LogFields = Readonly<Record<string, unknown>>;

/** One static message and its fields per line. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
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
