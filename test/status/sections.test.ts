import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CopyStatus } from '../../lib/cloner/queue/index.ts';
import { createJournal, type Replica, toSections } from '../../lib/status/index.ts';

const mib = 1024 * 1024;

const idle: Replica = {
  version: '1.2.3',
  name: 'image-cloner-7d9f',
  upMs: 65_000,
  settings: { backup: 'registry.example.com/backups', ON_ERROR: 'deny' },
  copies: [],
  outages: [],
  refusals: [],
  fallbacks: [],
  now: 100_000,
};

function running(target: string, namespace: string): CopyStatus {
  const now = { phase: 'copy', doneBytes: 30 * mib, totalBytes: 120 * mib } as const;
  const reading = {
    elapsedMs: 3_000,
    idleMs: 0,
    bytesPerSecond: 10 * mib,
    remainingMs: 9_000,
    now,
  };
  return { target, namespace, copy: { place: () => undefined, progress: () => reading } };
}

function waiting(target: string, ahead: number): CopyStatus {
  const copy = { place: () => ({ ahead }), progress: () => undefined };
  return { target, namespace: 'shop', copy };
}

describe('toSections', () => {
  it('shows an idle replica, and that the page is the view of one', () => {
    assert.deepEqual(toSections(idle), [
      {
        title: 'image-cloner 1.2.3',
        lines: [
          'replica image-cloner-7d9f, up 65 s: this is the view of one replica',
          'backup: registry.example.com/backups',
          'ON_ERROR: deny',
        ],
      },
      { title: 'Registries', lines: ['no registry is known to be down or to limit'] },
      { title: 'Copies that run: 0', lines: [] },
      { title: 'Copies that wait: 0', lines: [] },
      { title: 'Last refusals', lines: ['none since the start'] },
      { title: 'Last uses of a backup whose source failed', lines: ['none since the start'] },
    ]);
  });

  it('shows copies with their progress, the queue, outages and what happened', () => {
    const page = toSections({
      ...idle,
      certificateEnds: new Date('2027-01-02T03:04:05Z'),
      copies: [
        running('r/b/nginx:1.27', 'shop'),
        running('r/b/redis:7', ''),
        waiting('r/b/web:1', 0),
      ],
      outages: ['quay.io did not answer 3 s ago, next attempt in 5 s'],
      refusals: [{ at: 40_000, text: 'Deployment shop/web: no such image' }],
      fallbacks: [{ at: 70_000, text: 'using the backup of nginx:1.27: docker.io is down' }],
    });

    const lines = page.flatMap((section) => section.lines);
    assert.ok(lines.includes('certificate: until 2027-01-02T03:04:05.000Z'));
    assert.ok(lines.includes('quay.io did not answer 3 s ago, next attempt in 5 s'));
    assert.match(lines.join('\n'), /^r\/b\/nginx:1\.27 for shop: 25 %, 30 of 120 MiB/m);
    assert.match(lines.join('\n'), /^r\/b\/redis:7: 25 %/m);
    assert.match(lines.join('\n'), /^r\/b\/web:1 for shop: next in the queue/m);
    assert.ok(lines.includes('60 s ago: Deployment shop/web: no such image'));
    assert.ok(lines.includes('30 s ago: using the backup of nginx:1.27: docker.io is down'));
  });

  it('stays short with a thousand queued copies', () => {
    const copies = Array.from({ length: 1_000 }, (_, n) => waiting(`r/b/app-${n}:1`, n));

    const section = toSections({ ...idle, copies }).find(({ title }) => title.includes('wait'));

    assert.equal(section?.title, 'Copies that wait: 1000');
    assert.equal(section?.lines.length, 21);
    assert.equal(section?.lines.at(-1), 'and 980 more');
  });

  it('shows no control character of a registry', () => {
    const [, registries] = toSections({ ...idle, outages: ['a\u001b[31mb\u202ec\nd'] });

    // oxlint-disable-next-line no-control-regex -- the test searches for them
    assert.doesNotMatch(registries?.lines.join('') ?? '', /[\u0000-\u001f\u202e]/);
  });
});

describe('createJournal', () => {
  it('keeps the last fifty refusals, the newest first', () => {
    let at = 0;
    const journal = createJournal({ now: () => at });

    for (at = 1; at <= 60; at += 1) {
      const object = { group: '', kind: 'Pod', namespace: 'shop', name: `p${at}` };
      journal.reviewEnded({ object, dryRun: false, refusal: 'no', images: [] });
    }

    assert.equal(journal.refusals().length, 50);
    assert.deepEqual(journal.refusals()[0], { at: 60, text: 'Pod shop/p60: no' });
  });
});
