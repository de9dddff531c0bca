import type { CopyReading } from './image-cloner.ts';

/** What a replica publishes about a copy that it makes. */
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

/** `conflict`: another write was first. `unavailable`: whether the write was done is unknown. */
export type LeaseAnswer<Found> =
  | { readonly status: 'done'; readonly found: Found }
  | { readonly status: 'conflict' | 'forbidden' | 'unavailable' };

/**
 * One lease for each target, the same for all replicas. Writes are compare-and-swap: of two that began from the same version one is
 * done and the other a conflict. Never rejects, and has a timeout of its own; the signal ends a call earlier.
 */
export interface LeaseStore {
  list(signal: AbortSignal): Promise<LeaseAnswer<readonly StoredLease[]>>;
  /** Resolves with the version, as `replace` does; a conflict when the target has a lease. */
  create(lease: CopyLease, signal: AbortSignal): Promise<LeaseAnswer<string>>;
  /** A conflict also when the lease is gone. */
  replace(lease: CopyLease, version: string, signal: AbortSignal): Promise<LeaseAnswer<string>>;
  /** A conflict when the version differs; a lease that is gone is done. */
  remove(
    lease: Pick<StoredLease, 'target' | 'version'>,
    signal: AbortSignal,
  ): Promise<LeaseAnswer<undefined>>;
}
