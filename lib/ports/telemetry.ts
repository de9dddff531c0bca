import type { CloneErrorCode } from '../errors.ts';

/** Events for metrics; the adapter chooses their names. */
export interface Observer {
  reviewed(event: ReviewEvent): void;
  cloned(event: CloneEvent): void;
  /** Whether the last response of the backup registry was usable. */
  backupAnswered(isUp: boolean): void;
  /** An object was denied, and its writer was not asked to retry. */
  refused?(event: RefusalEvent): void;
  /** A backup is used because its source failed. */
  fellBack?(event: FallbackEvent): void;
}

export interface RefusalEvent {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly dryRun: boolean;
  /** As kubectl shows it. */
  readonly message: string;
}

export interface FallbackEvent {
  /** Names the image and why its source failed. */
  readonly warning: string;
}

export interface ReviewEvent {
  readonly kind: string;
  readonly operation: string;
  readonly verdict: 'untouched' | 'patched' | 'denied' | 'retry' | 'error';
  readonly seconds: number;
}

/** One copy, shared by any number of reviews; or one image of a review that was not copied. */
export interface CloneEvent {
  readonly result: 'copied' | 'present' | 'fallback' | 'failed';
  /** The error's code, or empty. */
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
