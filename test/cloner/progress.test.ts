import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Copy } from '../../lib/cloner/copies.ts';
import { describeProgress } from '../../lib/cloner/progress.ts';

const mib = 1024 * 1024;

function copyAt(progress: ReturnType<Copy['progress']>): Copy {
  return { wait: () => assert.fail('nobody waits here'), progress: () => progress };
}

describe('describeProgress', () => {
  const rows: readonly (readonly [string, ReturnType<Copy['progress']>, string, number])[] = [
    ['not begun', undefined, 'waiting for its turn', 5],
    ['nothing known', { elapsedMs: 10 }, 'started', 5],
    [
      'in the middle of the pull',
      { elapsedMs: 1_000, now: { phase: 'pull', doneBytes: 112 * mib, totalBytes: 260 * mib } },
      '43 %, 112 of 260 MiB pulled',
      4,
    ],
    [
      'nearly pushed',
      { elapsedMs: 10_000, now: { phase: 'push', doneBytes: 255 * mib, totalBytes: 256 * mib } },
      '99 %, 255 of 256 MiB pushed',
      1,
    ],
    [
      'slow',
      { elapsedMs: 60_000, now: { phase: 'pull', doneBytes: mib, totalBytes: 200 * mib } },
      '0 %, 1.0 of 200 MiB pulled',
      10,
    ],
    [
      'not a byte yet',
      { elapsedMs: 60_000, now: { phase: 'pull', doneBytes: 0, totalBytes: 5.5 * mib } },
      '0 %, 0.0 of 5.5 MiB pulled',
      5,
    ],
  ];
  for (const [what, progress, detail, retryAfterSeconds] of rows) {
    it(`describes a copy that is ${what}`, () => {
      assert.deepEqual(describeProgress(copyAt(progress)), { detail, retryAfterSeconds });
    });
  }
});
