import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createIntegrityCheck } from '../../../lib/cloner/backup/integrity-check.ts';
import {
  type AdmissionHandler,
  type AdmissionReview,
  createAdmissionHandler,
} from '../../../lib/index.ts';
import {
  answer,
  changeHeaders,
  type Image,
  makeImage,
  makeIndex,
  on,
  seed,
} from '../../../lib/memory-registry/index.ts';
import { type Bench, useBench, walk } from '../../adapters/registry/bench.ts';
import { drainMicrotasks } from '../../support/drain-microtasks.ts';
import { createFakeCloner } from '../../support/fake-cloner.ts';
import { createMemoryLog, type MemoryLog } from '../../support/memory-log.ts';
import { deployment, policy, review } from '../../support/reviews.ts';

const image = makeImage({ layers: [2_000, 3_000] });
const index = makeIndex([image, makeImage({ platform: 'linux/arm64' })]);

const openBench = useBench();

interface Fixture extends Bench {
  readonly handler: AdmissionHandler;
  readonly log: MemoryLog;
  readonly clock: { now: number };
  /** Runs the background work and returns the number of jobs. */
  readonly runBackground: () => Promise<number>;
}

async function openFixture(sourceImage: Image = index): Promise<Fixture> {
  const bench = await openBench();
  seed(bench.source, 'app:1', sourceImage);
  const queued: (() => Promise<void>)[] = [];
  const clock = { now: 0 };
  const log = createMemoryLog();
  const handler = createAdmissionHandler({
    cloner: bench.cloner,
    policy: policy({ backup: { domain: bench.backup.host, namespace: 'acme', naming: 'flat' } }),
    logger: log.logger,
    now: () => clock.now,
    soon: (work) => queued.push(work),
  });
  const runBackground = async (): Promise<number> => {
    const due = queued.splice(0);
    for (const work of due) await work();
    return due.length;
  };
  return { ...bench, handler, log, clock, runBackground };
}

async function send({ handler, source }: Fixture): Promise<AdmissionReview['response']> {
  const object = deployment({ web: `${source.host}/app:1` });
  const options = { signal: new AbortController().signal, budgetMs: 20_000 };
  return (await handler(review({ object }), options)).response;
}

function repositoryOf({ backup }: Bench): string {
  const [repository = ''] = backup.store.repositories();
  return repository;
}

/** Deletes a blob, as a garbage collection at the wrong time does. */
function deleteBlob(bench: Bench, of: Image, which: number): void {
  const digest = of.blobs[which]?.digest ?? '';
  assert.equal(bench.backup.store.deleteBlob(repositoryOf(bench), digest), true);
}

function assertIsComplete(fixture: Fixture, of: Image): void {
  const repository = repositoryOf(fixture);
  assert.deepEqual(
    walk(fixture.backup, repository, of.digest),
    walk(fixture.source, 'app', of.digest),
  );
}

describe('createIntegrityCheck for a backup that lost a blob', () => {
  it('copies a layer that the backup lost again after the next answer', async () => {
    const fixture = await openFixture();
    await send(fixture);
    deleteBlob(fixture, image, 1);

    const { allowed } = await send(fixture);
    await fixture.runBackground();

    assert.equal(allowed, true);
    assertIsComplete(fixture, index);
    assert.deepEqual(
      fixture.log.lines.filter(({ level }) => level === 'warn').map(({ message }) => message),
      ['the backup has lost parts of an image: copying it again'],
    );
  });

  it('copies the manifest of one platform that the backup lost again after the next answer', async () => {
    const fixture = await openFixture();
    await send(fixture);
    fixture.backup.store.deleteManifest(repositoryOf(fixture), image.digest);

    await send(fixture);
    await fixture.runBackground();

    assertIsComplete(fixture, index);
  });

  it('denies with the reason when the source is gone and the backup is incomplete', async () => {
    const fixture = await openFixture(image);
    await send(fixture);
    deleteBlob(fixture, image, 0);
    await fixture.source.close();

    const { allowed, status } = await send(fixture);

    assert.equal(allowed, false);
    assert.match(
      status?.message ?? '',
      /its backup is incomplete: the backup registry has lost parts of it$/,
    );
  });

  it('makes no request for layers of the backup before the answer', async () => {
    const fixture = await openFixture();
    await send(fixture);
    fixture.backup.requests.clear();

    await send(fixture);

    assert.deepEqual(fixture.backup.requests.tally(), { 'HEAD manifest': 2 });
  });

  it('checks the layers of an image in the backup at most once in ten minutes', async () => {
    const fixture = await openFixture();
    await send(fixture);
    const checks: number[] = [];

    for (const minute of [0, 1, 9.9, 10, 11]) {
      fixture.clock.now = minute * 60_000;
      await send(fixture);
      checks.push(await fixture.runBackground());
    }

    assert.deepEqual(checks, [1, 0, 0, 1, 0]);
  });

  it('checks the layers of an image again at the next review when the repair failed', async () => {
    const fixture = await openFixture();
    await send(fixture);
    deleteBlob(fixture, image, 1);
    await send(fixture);
    const fault = fixture.source.faults.add(({ kind }) => kind === 'blob', answer(404));
    await fixture.runBackground();
    fault.end();

    await send(fixture);
    await fixture.runBackground();

    assertIsComplete(fixture, index);
  });
});

describe('createIntegrityCheck for a backup that does not answer about layers', () => {
  for (const status of [403, 405, 500]) {
    it(`falls back to a backup that answers ${status} for its layers`, async () => {
      const fixture = await openFixture(image);
      await send(fixture);
      fixture.backup.faults.add(
        ({ method, kind }) => method === 'HEAD' && kind === 'blob',
        answer(status),
      );
      await fixture.source.close();

      const { allowed, warnings } = await send(fixture);

      assert.equal(allowed, true);
      assert.match(warnings?.join() ?? '', /using the backup/);
    });
  }

  it('falls back to a backup whose proxy serves the manifest with another content type', async () => {
    const fixture = await openFixture(image);
    await send(fixture);
    fixture.backup.faults.add(
      on('GET', 'manifest'),
      changeHeaders({ 'content-type': 'application/octet-stream' }),
    );
    await fixture.source.close();

    const { allowed, warnings } = await send(fixture);

    assert.equal(allowed, true);
    assert.match(warnings?.join() ?? '', /using the backup/);
  });
});

describe('checkLater', () => {
  function createFixture(): {
    readonly pending: ((isComplete: boolean) => void)[];
    readonly checkLater: (n: number, repair?: () => Promise<unknown>) => Promise<void>;
  } {
    const pending: ((isComplete: boolean) => void)[] = [];
    const cloner = {
      ...createFakeCloner(),
      isComplete: async () => {
        const { promise, resolve } = Promise.withResolvers<boolean>();
        pending.push(resolve);
        return await promise;
      },
    };
    const due: (() => Promise<void>)[] = [];
    const integrity = createIntegrityCheck({
      cloner,
      logger: createMemoryLog().logger,
      now: () => 0,
      soon: (work) => due.push(work),
    });
    const backup = { domain: 'backup.test', path: 'acme/app', tag: '1' };
    const { signal } = new AbortController();
    const query = { cloner, backup, access: { side: 'backup' }, signal } as const;
    return {
      pending,
      async checkLater(n, repair = () => Promise.resolve()) {
        const then = { repair, refresh: () => Promise.resolve() };
        integrity.checkLater(query, `sha256:${String(n).padStart(64, '0')}`, then);
        await Promise.all(due.splice(0).map((work) => work()));
      },
    };
  }

  it('checkLater runs at most two integrity checks at once', async () => {
    const { pending, checkLater } = createFixture();

    const all = [1, 2, 3].map((n) => checkLater(n));
    await drainMicrotasks();
    assert.equal(pending.length, 2);
    pending[0]?.(true);
    await drainMicrotasks();
    assert.equal(pending.length, 3);

    for (const answerCheck of pending) answerCheck(true);
    await Promise.all(all);
  });

  it('checkLater checks other images while one is repaired', async () => {
    const { pending, checkLater } = createFixture();
    const repair = Promise.withResolvers<undefined>();
    const all = [1, 2, 3, 4].map((n) => checkLater(n, () => repair.promise));
    await drainMicrotasks();

    pending[0]?.(false);
    pending[1]?.(false);
    await drainMicrotasks();

    assert.equal(pending.length, 4);
    repair.resolve(undefined);
    for (const answerCheck of pending) answerCheck(true);
    await Promise.all(all);
  });

  it('checkLater queues at most a hundred checks and checks the others when they are requested again', async () => {
    const { pending, checkLater } = createFixture();
    const all = Array.from({ length: 103 }, (_, n) => checkLater(n));
    await drainMicrotasks();

    await checkLater(200);
    for (let done = 0; done < 102; done += 1) {
      pending[done]?.(true);
      await drainMicrotasks();
    }
    await Promise.all(all);
    assert.equal(pending.length, 102);

    all.push(checkLater(200));
    await drainMicrotasks();
    assert.equal(pending.length, 103);
    pending[102]?.(true);
    await Promise.all(all);
  });
});

describe('isUsable', () => {
  it('isUsable accepts a backup that does not answer within the time left', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const cloner = { ...createFakeCloner(), isComplete: () => new Promise<never>(() => undefined) };
    const integrity = createIntegrityCheck({
      cloner,
      logger: createMemoryLog().logger,
      now: () => 0,
    });
    const query = {
      cloner,
      backup: { domain: 'backup.test', path: 'acme/app', tag: '1' },
      access: { side: 'backup' },
      signal: new AbortController().signal,
    } as const;

    const usable = integrity.isUsable(query, image.digest, 300);
    t.mock.timers.tick(300);

    assert.equal(await usable, true);
  });
});
