import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createReport } from '../../lib/cloner/report.ts';
import type { CloneOutcome, CopyProgress } from '../../lib/ports/index.ts';
import { createMemoryLog } from '../support/memory-log.ts';

const D = `sha256:${'d'.repeat(64)}`;
const observer = {
  reviewed: () => undefined,
  cloned: () => undefined,
  backupAnswered: () => undefined,
};
const subject = {
  uid: 'u',
  source: { domain: 'docker.io', path: 'library/nginx', tag: '1.27' },
  backup: { domain: 'registry.corp', path: 'backups/nginx', tag: '1.27' },
};

describe('createReport', () => {
  function progressOf(
    steps: readonly (readonly [atMs: number, progress: CopyProgress])[],
  ): unknown {
    let time = 0;
    const { logger, lines } = createMemoryLog();
    const log = createReport({ logger, observer, now: () => time }).progress(subject);
    for (const [atMs, progress] of steps) {
      time = atMs;
      log(progress);
    }
    return lines.map(({ fields: { phase, doneBytes } }) => [phase, doneBytes]);
  }
  const pull = (doneBytes: number): CopyProgress => ({ phase: 'pull', doneBytes, totalBytes: 9 });
  const push = (doneBytes: number): CopyProgress => ({ phase: 'push', doneBytes, totalBytes: 9 });

  it('logs the first progress of the pull and of the push at once', () => {
    assert.deepEqual(
      progressOf([
        [0, pull(0)],
        [10, pull(9)],
        [20, push(0)],
        [30, push(9)],
      ]),
      [
        ['pull', 0],
        ['push', 0],
      ],
    );
  });

  it('logs the progress of a copy once a second', () => {
    assert.deepEqual(
      progressOf([
        [0, pull(1)],
        [999, pull(2)],
        [1_000, pull(3)],
        [1_999, pull(4)],
        [2_000, pull(5)],
      ]),
      [
        ['pull', 1],
        ['pull', 3],
        ['pull', 5],
      ],
    );
  });

  const results = ['copied', 'present', 'fallback', 'planned'] as const;
  for (const result of results) {
    it(`logs the digest, the name of the copy and the warnings of an image that is ${result}`, () => {
      const { logger, lines } = createMemoryLog();
      const outcome: CloneOutcome = {
        status: 'ready',
        image: subject.backup,
        digest: D,
        result,
        bytes: 7,
        durationMs: 3,
        warnings: ['it is held'],
      };

      createReport({ logger, observer, now: () => 0 }).outcome(subject, outcome, 3);

      assert.deepEqual(lines, [
        {
          level: 'info',
          message: 'image is in the backup',
          fields: {
            uid: 'u',
            source: 'docker.io/library/nginx:1.27',
            backup: 'registry.corp/backups/nginx:1.27',
            ms: 3,
            result,
            bytes: 7,
            digest: D,
            warnings: ['it is held'],
          },
        },
      ]);
    });
  }
});
