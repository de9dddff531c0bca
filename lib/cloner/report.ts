import { CloneError } from '../errors.ts';
import { canonicalReference, formatReference, type Reference } from '../image/reference.ts';
import type { CloneOutcome, CopyProgress, Logger, Observer } from '../ports/index.ts';
import type { CopyResult } from './queue/index.ts';

/** The image of a log line, and its review. */
interface ReportSubject {
  readonly uid: string;
  readonly source: Reference;
  readonly backup: Reference;
}

/** Logs and counts what happens to images. */
export interface Report {
  /** Logs a line at the beginning of each phase of a copy, and once a second while it runs. */
  progress(subject: ReportSubject): (progress: CopyProgress) => void;
  /** Counts a copy once, however many reviews wait for it. */
  copy(subject: ReportSubject, work: () => Promise<CopyResult>): Promise<CopyResult>;
  /** Logs a line for each image of a review. */
  outcome(subject: ReportSubject, outcome: CloneOutcome, ms: number): void;
}

export interface ReportDeps {
  readonly logger: Logger;
  readonly observer: Observer;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
}

const progressLogMs = 1_000;

export function createReport({ logger, observer, now }: ReportDeps): Report {
  /** Failed copies that are counted already: many reviews may report the same one. */
  const counted = new WeakSet<CloneError>();

  function progress({ uid, source }: ReportSubject): (progress: CopyProgress) => void {
    let nextAt = now();
    let logged: CopyProgress['phase'] | undefined;
    return ({ phase, doneBytes, totalBytes }) => {
      if (phase === logged && now() < nextAt) return;
      nextAt = now() + progressLogMs;
      logged = phase;
      const fields = { uid, source: canonicalReference(source), phase, doneBytes, totalBytes };
      logger.info(fields, 'copying');
    };
  }

  async function copy(
    { uid, source, backup }: ReportSubject,
    work: () => Promise<CopyResult>,
  ): Promise<CopyResult> {
    const startedAt = now();
    try {
      const copied = await work();
      const seconds = (now() - startedAt) / 1000;
      observer.cloned({ result: 'copied', reason: '', seconds, bytes: copied.bytes });
      observer.copyEnded?.({ backup });
      return copied;
    } catch (error) {
      if (error instanceof CloneError) {
        const seconds = (now() - startedAt) / 1000;
        observer.cloned({ result: 'failed', reason: error.code, seconds, bytes: 0 });
        observer.copyEnded?.({ backup, error });
        counted.add(error);
        // Every other failure is logged with the outcome of the reviews.
        if (error.code === 'INTERRUPTED') {
          const fields = { uid, source: canonicalReference(source), reason: error.message };
          logger.info(fields, 'copy interrupted');
        }
      }
      throw error;
    }
  }

  function outcome({ uid, source, backup }: ReportSubject, what: CloneOutcome, ms: number): void {
    const seconds = ms / 1000;
    const fields = {
      uid,
      source: canonicalReference(source),
      backup: formatReference(backup),
      ms: Math.round(ms),
    };
    switch (what.status) {
      case 'ready': {
        const { result, bytes, digest, warnings } = what;
        const notes = warnings.length === 0 ? {} : { warnings };
        logger.info({ ...fields, result, bytes, digest, ...notes }, 'image is in the backup');
        if (result === 'present' || result === 'fallback') {
          observer.cloned({ result, reason: '', seconds, bytes: 0 });
        }
        return;
      }
      case 'pending':
        logger.info({ ...fields, detail: what.detail }, 'image is still being copied');
        return;
      case 'failed': {
        const { code, message, cause } = what.error;
        logger.warn({ ...fields, code, reason: message, err: cause }, 'no usable backup');
        if (!counted.has(what.error)) {
          observer.cloned({ result: 'failed', reason: code, seconds, bytes: 0 });
        }
      }
    }
  }

  return { progress, copy, outcome };
}
