import type { CopyProgress, CopyReading } from '../../ports/index.ts';
import { createThroughputMeter } from '../../util/throughput.ts';

/** Measures one copy. */
export interface CopyMeter {
  note(progress: CopyProgress): void;
  read(): CopyReading;
}

export function createCopyMeter(now: () => number): CopyMeter {
  const startedAt = now();
  let throughput = createThroughputMeter(now);
  let latest: CopyProgress | undefined;
  let shown: CopyProgress | undefined;

  function note(progress: CopyProgress): void {
    const { phase, doneBytes, movedBytes = doneBytes } = progress;
    if (latest !== undefined && phase !== latest.phase) throughput = createThroughputMeter(now);
    latest = progress;
    // A retry lowers the sum and each layer raises the total, but the shown fraction never falls.
    const isFurther = shown?.phase !== phase || fractionOf(progress) >= fractionOf(shown);
    if (isFurther) shown = progress;
    throughput.note(movedBytes);
  }

  function read(): CopyReading {
    const bytesPerSecond = latest === undefined ? undefined : throughput.perSecond();
    const remainingMs =
      latest === undefined || bytesPerSecond === undefined || bytesPerSecond <= 0
        ? undefined
        : (bytesLeft(latest) / bytesPerSecond) * 1000;
    return {
      elapsedMs: now() - startedAt,
      ...(shown !== undefined && { now: shown }),
      ...(bytesPerSecond !== undefined && { bytesPerSecond }),
      ...(remainingMs !== undefined && { remainingMs }),
      idleMs: throughput.idleMs(),
    };
  }

  return { note, read };
}

function fractionOf({ doneBytes, totalBytes }: CopyProgress): number {
  return totalBytes === 0 ? 0 : Math.min(1, doneBytes / totalBytes);
}

/** A docker daemon pulls everything and then pushes it. */
function bytesLeft({ phase, doneBytes, totalBytes }: CopyProgress): number {
  return Math.max(0, totalBytes - doneBytes) + (phase === 'pull' ? totalBytes : 0);
}
