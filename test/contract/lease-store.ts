import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { CopyLease, LeaseAnswer, LeaseStore, StoredLease } from '../../lib/index.ts';

/** The stores of two replicas with the same leases. */
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

async function resultOf<Found>(answer: Promise<LeaseAnswer<Found>>): Promise<Found> {
  const settled = await answer;
  assert.ok(settled.status === 'done', settled.status);
  return settled.found;
}

/** The contract of every `LeaseStore`; runs for the fake and for a real API server. */
export function describeLeaseStore(name: string, open: () => Promise<LeaseBench>): void {
  describe(`${name} as a LeaseStore`, () => {
    let bench: LeaseBench;
    before(async () => {
      bench = await open();
    });
    after(async () => {
      await bench.close();
    });

    const leaseOf = async (wanted: string): Promise<StoredLease | undefined> =>
      (await resultOf(bench.two.list(signal))).find((stored) => stored.target === wanted);

    it('lists a lease that another replica created', async () => {
      const now = { phase: 'copy', doneBytes: 112, totalBytes: 260 } as const;
      const created = lease({
        reading: { elapsedMs: 1_500, idleMs: 20, bytesPerSecond: 75, remainingMs: 1_973, now },
      });
      const version = await resultOf(bench.one.create(created, signal));

      assert.deepEqual(await leaseOf(target), { ...created, version });
    });

    it('lists a lease without progress', async () => {
      const version = await resultOf(bench.one.create(lease({ target: 'a/b:new' }), signal));

      assert.deepEqual(await leaseOf('a/b:new'), { ...lease({ target: 'a/b:new' }), version });
    });

    it('lets one of two replicas create a lease', async () => {
      const answers = await Promise.all([
        bench.one.create(lease({ target: 'a/b:1' }), signal),
        bench.two.create(lease({ target: 'a/b:1', holder: 'pod-b_1' }), signal),
      ]);

      assert.deepEqual(answers.map(({ status }) => status).toSorted(), ['conflict', 'done']);
    });

    it('changes the version of a lease at each write, even without another change', async () => {
      const same = lease({ target: 'a/b:2' });
      const first = await resultOf(bench.one.create(same, signal));
      const second = await resultOf(bench.one.replace(same, first, signal));
      const third = await resultOf(bench.one.replace(same, second, signal));

      assert.equal(new Set([first, second, third]).size, 3);
      assert.deepEqual(await leaseOf('a/b:2'), { ...same, version: third });
    });

    it('replaces a lease only in the version that was read', async () => {
      const [old, mine] = [
        lease({ target: 'a/b:3' }),
        lease({ target: 'a/b:3', sourceDigest: 'new' }),
      ];
      const readVersion = await resultOf(bench.one.create(old, signal));
      const answers = await Promise.all([
        bench.one.replace(mine, readVersion, signal),
        bench.two.replace({ ...mine, holder: 'pod-b_1' }, readVersion, signal),
      ]);
      const late = await bench.one.replace(mine, readVersion, signal);

      assert.deepEqual(answers.map(({ status }) => status).toSorted(), ['conflict', 'done']);
      assert.deepEqual(late, { status: 'conflict' });
    });

    it('answers conflict to the replacement of a removed lease', async () => {
      const version = await resultOf(bench.one.create(lease({ target: 'a/b:4' }), signal));
      await resultOf(bench.two.remove({ target: 'a/b:4', version }, signal));

      const answer = await bench.one.replace(lease({ target: 'a/b:4' }), version, signal);

      assert.deepEqual(answer, { status: 'conflict' });
    });

    it('removes a lease only in the version that was read, and answers done if it is already removed', async () => {
      const key = { target: 'a/b:5' };
      const readVersion = await resultOf(bench.one.create(lease(key), signal));
      const version = await resultOf(bench.one.replace(lease(key), readVersion, signal));

      const answers = [
        await bench.two.remove({ ...key, version: readVersion }, signal),
        await bench.two.remove({ ...key, version }, signal),
        await bench.two.remove({ ...key, version }, signal),
      ];

      assert.deepEqual(
        answers.map(({ status }) => status),
        ['conflict', 'done', 'done'],
      );
      assert.equal(await leaseOf('a/b:5'), undefined);
    });

    it('answers conflict to a write with the version of an earlier lease of the same target', async () => {
      const key = { target: 'a/b:6' };
      const version = await resultOf(bench.one.create(lease(key), signal));
      await resultOf(bench.one.remove({ ...key, version }, signal));
      await resultOf(bench.two.create(lease({ ...key, holder: 'pod-b_1' }), signal));

      const answers = [
        await bench.one.replace(lease(key), version, signal),
        await bench.one.remove({ ...key, version }, signal),
      ];

      assert.deepEqual(answers, [{ status: 'conflict' }, { status: 'conflict' }]);
      assert.equal((await leaseOf('a/b:6'))?.holder, 'pod-b_1');
    });

    it('answers unavailable to a lease request whose signal is aborted', async () => {
      const answer = await bench.one.create(lease({ target: 'a/b:7' }), AbortSignal.abort());

      assert.deepEqual(answer, { status: 'unavailable' });
    });
  });
}
