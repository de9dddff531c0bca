import type { CopyReading } from './image-cloner.ts';

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
