import type { CopyReading } from './image-cloner.ts';

/** What a replica publishes about its copy. */
export interface CopyLease {
  /** The replica; unique per process. */
  readonly holder: string;
  /** `host/path:tag` that the copy moves. */
  readonly target: string;
  readonly sourceDigest: string;
  readonly reading: CopyReading;
}

/** A lease as the API server stores it. */
export interface StoredLease extends CopyLease {
  /** Differs after every write. */
  readonly version: string;
}

/** `conflict`: another write came first. `unavailable`: it is unknown whether the write succeeded. */
export type LeaseAnswer<Found> =
  | { readonly status: 'done'; readonly found: Found }
  | { readonly status: 'conflict' | 'forbidden' | 'unavailable' };

/**
 * One lease per target, shared by all replicas. Writes are compare-and-swap: of two writes from the same version one succeeds
 * and the other is a conflict. Never rejects, and has its own timeout; the signal ends a call earlier.
 */
export interface LeaseStore {
  list(signal: AbortSignal): Promise<LeaseAnswer<readonly StoredLease[]>>;
  /** Resolves with the version, as `replace` does; `conflict` if the target has a lease. */
  create(lease: CopyLease, signal: AbortSignal): Promise<LeaseAnswer<string>>;
  /** `conflict` also if the lease is gone. */
  replace(lease: CopyLease, version: string, signal: AbortSignal): Promise<LeaseAnswer<string>>;
  /** `conflict` if the version differs; `done` if the lease is gone. */
  remove(
    lease: Pick<StoredLease, 'target' | 'version'>,
    signal: AbortSignal,
  ): Promise<LeaseAnswer<undefined>>;
}
