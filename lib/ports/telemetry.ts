import type { CloneErrorCode } from '../errors.ts';

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
