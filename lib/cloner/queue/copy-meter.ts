import type { CopyProgress, CopyReading } from '../../ports/index.ts';
import { createThroughputMeter } from '../../util/throughput.ts';

/** Watches one copy. */
export interface CopyMeter {
  note(progress: CopyProgress): void;
  read(): CopyReading;
}

export function createCopyMeter(now: () => number): CopyMeter {
  const startedAt = now();
  let rate = createThroughputMeter(now);
  let latest: CopyProgress | undefined;
  let shown: CopyProgress | undefined;

  function note(progress: CopyProgress): void {
    const { phase, doneBytes, movedBytes = doneBytes } = progress;
    if (latest !== undefined && phase !== latest.phase) rate = createThroughputMeter(now);
    latest = progress;
    // An attempt that is taken back has still been made, and layers become known one by one.
    const isFurther = shown?.phase !== phase || fractionOf(progress) >= fractionOf(shown);
    if (isFurther) shown = progress;
    rate.note(movedBytes);
  }

  function read(): CopyReading {
    const bytesPerSecond = latest === undefined ? undefined : rate.perSecond();
    const remainingMs =
      latest === undefined || bytesPerSecond === undefined || bytesPerSecond <= 0
        ? undefined
        : (bytesLeft(latest) / bytesPerSecond) * 1000;
    return {
      elapsedMs: now() - startedAt,
      ...(shown !== undefined && { now: shown }),
      ...(bytesPerSecond !== undefined && { bytesPerSecond }),
      ...(remainingMs !== undefined && { remainingMs }),
      idleMs: rate.idleMs(),
    };
  }

  return { note, read };
}

function fractionOf({ doneBytes, totalBytes }: CopyProgress): number {
  return totalBytes === 0 ? 0 : Math.min(1, doneBytes / totalBytes);
}

/** A daemon pulls everything and then pushes it. */
function bytesLeft({ phase, doneBytes, totalBytes }: CopyProgress): number {
  return Math.max(0, totalBytes - doneBytes) + (phase === 'pull' ? totalBytes : 0);
}
