import type { CopyProgress, CopyReading } from '../../ports/index.ts';
import { formatBytes, formatBytesOf, formatDuration } from '../../util/quantity.ts';
import type { Copy, CopyPlace } from './copies.ts';

/** The progress part of a 504 message, and the time to retry. */
export interface ProgressReport {
  /** Running or queued. */
  readonly stage: 'copying' | 'waiting';
  readonly detail: string;
  readonly retryAfterSeconds: number;
}

const minRetrySeconds = 1;
const maxRetrySeconds = 10;
/** Used if there is no estimate. */
const unknownRetrySeconds = 2;
/** Connections that have moved nothing for seconds rarely recover within the next one. */
const stalledRetrySeconds = 5;
/**
 * The part of the expected time after which the client retries. A retry that comes early waits for the copy, while one that comes late
 * wastes the difference; a client has ten retries, though.
 */
const earliness = 0.75;
/** Shorter pauses of a connection are normal. */
const stalledMs = 5_000;

const verbs = { pull: ' pulled', push: ' pushed', copy: '' } as const;
const ordinals = ['next', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh', 'eighth'];

/** Describes the progress of a copy. The client retries shortly before the copy is expected to be done, after 10 s at most. */
export function describeProgress(copy: Pick<Copy, 'place' | 'progress'>): ProgressReport {
  const place = copy.place();
  if (place !== undefined) return describePlace(place);
  const reading = copy.progress();
  const stage = 'copying';
  if (reading?.now === undefined || reading.now.totalBytes === 0) {
    return { stage, detail: 'started', retryAfterSeconds: unknownRetrySeconds };
  }
  const { text, retryAfterSeconds } = describeRest(reading, reading.now);
  return { stage, detail: `${formatAmount(reading.now)}${text}`, retryAfterSeconds };
}

function describePlace({ ahead, expectedMs }: CopyPlace): ProgressReport {
  const place = ordinals[ahead];
  const before = ahead === 0 ? '' : `, ${ahead} ${ahead === 1 ? 'copy' : 'copies'} before it`;
  return {
    stage: 'waiting',
    detail: `${place === undefined ? `number ${ahead + 1}` : place} in the queue${before}`,
    retryAfterSeconds: toRetrySeconds(expectedMs),
  };
}

/** `43 %, 112 of 260 MiB pulled`; never 100 %, because a complete copy has no message. */
function formatAmount({ phase, doneBytes, totalBytes }: CopyProgress): string {
  const percent = Math.min(99, Math.floor((doneBytes / totalBytes) * 100));
  return `${percent} %, ${formatBytesOf(doneBytes, totalBytes)}${verbs[phase]}`;
}

/** The rest of the message, and when to retry. */
function describeRest(
  { bytesPerSecond, remainingMs, idleMs }: CopyReading,
  { phase, doneBytes, totalBytes }: CopyProgress,
): { readonly text: string; readonly retryAfterSeconds: number } {
  if (phase !== 'pull' && doneBytes >= totalBytes) {
    return { text: ', being completed', retryAfterSeconds: minRetrySeconds };
  }
  if (idleMs >= stalledMs) {
    return {
      text: `, nothing moved for ${formatDuration(idleMs)}`,
      retryAfterSeconds: stalledRetrySeconds,
    };
  }
  if (bytesPerSecond === undefined || remainingMs === undefined) {
    return { text: '', retryAfterSeconds: unknownRetrySeconds };
  }
  return {
    text: `, about ${formatDuration(remainingMs)} to go at ${formatBytes(bytesPerSecond)}/s`,
    retryAfterSeconds: toRetrySeconds(remainingMs),
  };
}

function toRetrySeconds(ms: number | undefined): number {
  if (ms === undefined) return unknownRetrySeconds;
  const seconds = Math.floor((ms * earliness) / 1000);
  return Math.min(maxRetrySeconds, Math.max(minRetrySeconds, seconds));
}
