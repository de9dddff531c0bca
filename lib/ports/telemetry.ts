import type { CloneError, CloneErrorCode } from '../errors.ts';
import type { Reference } from '../image/reference.ts';
import type { CloneOutcome } from './image-cloner.ts';

/** Events for metrics; the adapter chooses their names. */
export interface Observer {
  reviewed(event: ReviewEvent): void;
  cloned(event: CloneEvent): void;
  /** Whether the last response of the backup registry was usable. */
  backupAnswered(isUp: boolean): void;
  /** A review that names images to copy, or that was refused. */
  reviewEnded?(review: EndedReview): void;
  /** A copy of this process, which reviews may have stopped waiting for. */
  copyEnded?(copy: EndedCopy): void;
}

/** What happened to one object, for people. */
export interface EndedReview {
  readonly object: {
    readonly group: string;
    readonly kind: string;
    readonly namespace: string;
    /** Empty for an object with a generated name. */
    readonly name: string;
    /** Absent if the object does not exist yet. */
    readonly uid?: string | undefined;
  };
  readonly dryRun: boolean;
  /** As kubectl shows it; absent if the object was admitted, or its writer was asked to retry. */
  readonly refusal?: string | undefined;
  readonly images: readonly ReviewedImage[];
}

interface ReviewedImage {
  /** As the object names it. */
  readonly image: string;
  readonly backup: Reference;
  readonly outcome: CloneOutcome;
}

interface EndedCopy {
  readonly backup: Reference;
  /** Absent if the copy succeeded. */
  readonly error?: CloneError;
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
