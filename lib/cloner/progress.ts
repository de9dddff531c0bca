import type { Copy } from './copies.ts';

const mebibyte = 1024 * 1024;
const minRetrySeconds = 1;
const maxRetrySeconds = 10;
/** Where nothing is known yet. */
const unknownRetrySeconds = 5;

/** A daemon pulls and then pushes; each is taken for one half of the work. */
const phases = {
  pull: { verb: ' pulled', share: 0.5, before: 0 },
  push: { verb: ' pushed', share: 0.5, before: 0.5 },
  copy: { verb: '', share: 1, before: 0 },
} as const;

/** How far a copy is, for a person and for the client that comes back. */
export function describeProgress(copy: Copy): {
  readonly detail: string;
  readonly retryAfterSeconds: number;
} {
  const progress = copy.progress();
  if (progress === undefined) {
    return { detail: 'waiting for its turn', retryAfterSeconds: unknownRetrySeconds };
  }
  const { elapsedMs, now } = progress;
  if (now === undefined || now.totalBytes === 0) {
    return { detail: 'started', retryAfterSeconds: unknownRetrySeconds };
  }
  const fraction = Math.min(1, now.doneBytes / now.totalBytes);
  const percent = Math.floor(fraction * 100);
  const { verb, share, before } = phases[now.phase];
  const overall = before + fraction * share;
  const remainingSeconds =
    overall === 0 ? unknownRetrySeconds : ((elapsedMs / overall) * (1 - overall)) / 1000;
  return {
    detail: `${percent} %, ${toMebibytes(now.doneBytes)} of ${toMebibytes(now.totalBytes)} MiB${verb}`,
    retryAfterSeconds: Math.min(
      maxRetrySeconds,
      Math.max(minRetrySeconds, Math.ceil(remainingSeconds)),
    ),
  };
}

function toMebibytes(bytes: number): string {
  const value = bytes / mebibyte;
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}
