import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Copy, CopyPlace } from '../../../lib/cloner/queue/copies.ts';
import { describeProgress } from '../../../lib/cloner/queue/describe-progress.ts';
import type { CopyReading } from '../../../lib/index.ts';

const mib = 1024 * 1024;

function copyAt(reading: CopyReading | undefined, place?: CopyPlace): Copy {
  return {
    wait: () => assert.fail('this copy is not waited for'),
    progress: () => reading,
    place: () => place,
  };
}

describe('describeProgress of a running copy', () => {
  const active = { elapsedMs: 1_000, idleMs: 0 };
  const rows: readonly (readonly [string, CopyReading, string, number])[] = [
    ['that has no reading yet', { elapsedMs: 10, idleMs: 10 }, 'started', 2],
    [
      'in the middle of its pull',
      {
        ...active,
        now: { phase: 'pull', doneBytes: 112 * mib, totalBytes: 260 * mib },
        bytesPerSecond: 112 * mib,
        remainingMs: 3_643,
      },
      '43 %, 112 of 260 MiB pulled, about 4 s to go at 112 MiB/s',
      2,
    ],
    [
      'near the end of its push',
      {
        ...active,
        now: { phase: 'push', doneBytes: 255 * mib, totalBytes: 256 * mib },
        bytesPerSecond: 25.5 * mib,
        remainingMs: 39,
      },
      '99 %, 255 of 256 MiB pushed, about 1 s to go at 26 MiB/s',
      1,
    ],
    [
      'that takes minutes, which the client polls every ten seconds',
      {
        ...active,
        now: { phase: 'copy', doneBytes: mib, totalBytes: 200 * mib },
        bytesPerSecond: mib / 2,
        remainingMs: 398_000,
      },
      '0 %, 1.0 of 200 MiB, about 7 min to go at 512 KiB/s',
      10,
    ],
    [
      'of a tiny image',
      {
        ...active,
        now: { phase: 'copy', doneBytes: 3 * 1024, totalBytes: 12 * 1024 },
        bytesPerSecond: 1024,
        remainingMs: 9_000,
      },
      '25 %, 3 of 12 KiB, about 9 s to go at 1 KiB/s',
      6,
    ],
    [
      'that takes hours',
      {
        ...active,
        now: { phase: 'copy', doneBytes: 0, totalBytes: 954 * mib },
        bytesPerSecond: 8_192,
        remainingMs: 122_000_000,
      },
      '0 %, 0.0 of 954 MiB, about 34 h to go at 8 KiB/s',
      10,
    ],
    [
      'without a rate yet',
      { ...active, now: { phase: 'copy', doneBytes: 0, totalBytes: 5.5 * mib } },
      '0 %, 0.0 of 5.5 MiB',
      2,
    ],
    [
      'that is stalled',
      {
        elapsedMs: 60_000,
        idleMs: 12_300,
        now: { phase: 'copy', doneBytes: 50 * mib, totalBytes: 200 * mib },
        bytesPerSecond: 0,
      },
      '25 %, 50 of 200 MiB, nothing moved for 13 s',
      5,
    ],
    [
      'whose bytes are all transferred',
      { ...active, idleMs: 9_000, now: { phase: 'copy', doneBytes: mib, totalBytes: mib } },
      '99 %, 1.0 of 1.0 MiB, being completed',
      1,
    ],
  ];
  for (const [what, reading, detail, retryAfterSeconds] of rows) {
    it(`describes a running copy ${what}: ${detail}`, () => {
      const report = { stage: 'copying', detail, retryAfterSeconds };

      assert.deepEqual(describeProgress(copyAt(reading)), report);
    });
  }
});

describe('describeProgress of a queued copy', () => {
  const rows: readonly (readonly [CopyPlace, string, number])[] = [
    [{ ahead: 0 }, 'next in the queue', 2],
    [{ ahead: 1, expectedMs: 2_100 }, 'second in the queue, 1 copy before it', 1],
    [{ ahead: 2, expectedMs: 99_000 }, 'third in the queue, 2 copies before it', 10],
    [{ ahead: 639 }, 'number 640 in the queue, 639 copies before it', 2],
  ];
  for (const [place, detail, retryAfterSeconds] of rows) {
    it(`describes the place of a queued copy: ${detail}`, () => {
      const report = { stage: 'waiting', detail, retryAfterSeconds };

      assert.deepEqual(describeProgress(copyAt(undefined, place)), report);
    });
  }
});
