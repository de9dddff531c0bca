import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { CopyLease, LeaseAnswer, LeaseStore, StoredLease } from '../../lib/index.ts';

/** Two replicas' view of the same leases. */
export interface LeaseBench {
  readonly one: LeaseStore;
  readonly two: LeaseStore;
  close(): Promise<void>;
}

const target = 'registry.example.com:5000/Backups/Team__app-0123456789ab:1.27';
const { signal } = new AbortController();

function lease(change: Partial<CopyLease> = {}): CopyLease {
  return {
    holder: 'pod-a_1',
    target,
    sourceDigest: `sha256:${'a'.repeat(64)}`,
    reading: { elapsedMs: 0, idleMs: 0 },
    ...change,
  };
}

async function found<Found>(answer: Promise<LeaseAnswer<Found>>): Promise<Found> {
  const settled = await answer;
  assert.ok(settled.status === 'done', settled.status);
  return settled.found;
}

/** What every `LeaseStore` promises; the one in memory and the one of a real API server run it. */
export function describeLeaseStore(name: string, open: () => Promise<LeaseBench>): void {
  describe(`${name} as a LeaseStore`, () => {
    let bench: LeaseBench;
    before(async () => {
      bench = await open();
    });
    after(async () => {
      await bench.close();
    });

    const at = async (where: string): Promise<StoredLease | undefined> =>
      (await found(bench.two.list(signal))).find((stored) => stored.target === where);

    it('shows one replica what the other wrote', async () => {
      const now = { phase: 'copy', doneBytes: 112, totalBytes: 260 } as const;
      const told = lease({
        reading: { elapsedMs: 1_500, idleMs: 20, bytesPerSecond: 75, remainingMs: 1_973, now },
      });
      const version = await found(bench.one.create(told, signal));

      assert.deepEqual(await at(target), { ...told, version });
    });

    it('shows a copy of which nothing is known yet', async () => {
      const version = await found(bench.one.create(lease({ target: 'a/b:new' }), signal));

      assert.deepEqual(await at('a/b:new'), { ...lease({ target: 'a/b:new' }), version });
    });

    it('lets one of two create', async () => {
      const answers = await Promise.all([
        bench.one.create(lease({ target: 'a/b:1' }), signal),
        bench.two.create(lease({ target: 'a/b:1', holder: 'pod-b_1' }), signal),
      ]);

      assert.deepEqual(answers.map(({ status }) => status).toSorted(), ['conflict', 'done']);
    });

    it('gives every write another version, also where nothing else changed', async () => {
      const same = lease({ target: 'a/b:2' });
      const first = await found(bench.one.create(same, signal));
      const second = await found(bench.one.replace(same, first, signal));
      const third = await found(bench.one.replace(same, second, signal));

      assert.equal(new Set([first, second, third]).size, 3);
      assert.deepEqual(await at('a/b:2'), { ...same, version: third });
    });

    it('replaces only what is still as it was seen', async () => {
      const [old, mine] = [
        lease({ target: 'a/b:3' }),
        lease({ target: 'a/b:3', sourceDigest: 'new' }),
      ];
      const seen = await found(bench.one.create(old, signal));
      const answers = await Promise.all([
        bench.one.replace(mine, seen, signal),
        bench.two.replace({ ...mine, holder: 'pod-b_1' }, seen, signal),
      ]);
      const late = await bench.one.replace(mine, seen, signal);

      assert.deepEqual(answers.map(({ status }) => status).toSorted(), ['conflict', 'done']);
      assert.deepEqual(late, { status: 'conflict' });
    });

    it('replaces nothing that is gone', async () => {
      const version = await found(bench.one.create(lease({ target: 'a/b:4' }), signal));
      await found(bench.two.remove({ target: 'a/b:4', version }, signal));

      const answer = await bench.one.replace(lease({ target: 'a/b:4' }), version, signal);

      assert.deepEqual(answer, { status: 'conflict' });
    });

    it('removes only what is still as it was seen, and what is gone is removed', async () => {
      const where = { target: 'a/b:5' };
      const seen = await found(bench.one.create(lease(where), signal));
      const version = await found(bench.one.replace(lease(where), seen, signal));

      const answers = [
        await bench.two.remove({ ...where, version: seen }, signal),
        await bench.two.remove({ ...where, version }, signal),
        await bench.two.remove({ ...where, version }, signal),
      ];

      assert.deepEqual(
        answers.map(({ status }) => status),
        ['conflict', 'done', 'done'],
      );
      assert.equal(await at('a/b:5'), undefined);
    });

    it('does not take a new lease for the old one of the same target', async () => {
      const where = { target: 'a/b:6' };
      const version = await found(bench.one.create(lease(where), signal));
      await found(bench.one.remove({ ...where, version }, signal));
      await found(bench.two.create(lease({ ...where, holder: 'pod-b_1' }), signal));

      const answers = [
        await bench.one.replace(lease(where), version, signal),
        await bench.one.remove({ ...where, version }, signal),
      ];

      assert.deepEqual(answers, [{ status: 'conflict' }, { status: 'conflict' }]);
      assert.equal((await at('a/b:6'))?.holder, 'pod-b_1');
    });

    it('knows nothing once nobody waits any more', async () => {
      const answer = await bench.one.create(lease({ target: 'a/b:7' }), AbortSignal.abort());

      assert.deepEqual(answer, { status: 'unavailable' });
    });
  });
}
