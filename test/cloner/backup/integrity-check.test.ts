import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
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
import { type Bench, openBench, walk } from '../../adapters/registry/bench.ts';
import { createFakeCloner } from '../../support/fake-cloner.ts';
import { createMemoryLog, type MemoryLog } from '../../support/memory-log.ts';
import { deployment, policy, review } from '../../support/reviews.ts';

const image = makeImage({ layers: [2_000, 3_000] });
const index = makeIndex([image, makeImage({ platform: 'linux/arm64' })]);

let bench: Bench | undefined;
afterEach(async () => {
  await bench?.close();
  bench = undefined;
});

interface Stage extends Bench {
  readonly handler: AdmissionHandler;
  readonly log: MemoryLog;
  readonly clock: { now: number };
  /** Runs what was put off. */
  readonly settle: () => Promise<number>;
}

async function openStage(what: Image = index): Promise<Stage> {
  bench = await openBench();
  seed(bench.source, 'app:1', what);
  const later: (() => Promise<void>)[] = [];
  const clock = { now: 0 };
  const log = createMemoryLog();
  const handler = createAdmissionHandler({
    cloner: bench.cloner,
    policy: policy({ backup: { domain: bench.backup.host, namespace: 'acme', naming: 'flat' } }),
    logger: log.logger,
    now: () => clock.now,
    soon: (work) => later.push(work),
  });
  const settle = async (): Promise<number> => {
    const due = later.splice(0);
    for (const work of due) await work();
    return due.length;
  };
  return { ...bench, handler, log, clock, settle };
}

async function send({ handler, source }: Stage): Promise<AdmissionReview['response']> {
  const object = deployment({ web: `${source.host}/app:1` });
  const options = { signal: new AbortController().signal, budgetMs: 20_000 };
  return (await handler(review({ object }), options)).response;
}

function repositoryOf({ backup }: Bench): string {
  const [repository = ''] = backup.store.repositories();
  return repository;
}

/** As a garbage collection at the wrong time does. */
function lose({ backup }: Bench, of: Image, which: number): void {
  const digest = of.blobs[which]?.digest ?? '';
  assert.equal(backup.store.deleteBlob(repositoryOf(bench ?? assert.fail()), digest), true);
}

function assertIsWhole(stage: Stage, of: Image): void {
  const repository = repositoryOf(stage);
  assert.deepEqual(walk(stage.backup, repository, of.digest), walk(stage.source, 'app', of.digest));
}

describe('a backup that has lost a layer', () => {
  it('is noticed behind the next answer and copied again', async () => {
    const stage = await openStage();
    await send(stage);
    lose(stage, image, 1);

    const { allowed } = await send(stage);
    await stage.settle();

    assert.equal(allowed, true);
    assertIsWhole(stage, index);
    assert.deepEqual(
      stage.log.lines.filter(({ level }) => level === 'warn').map(({ message }) => message),
      ['the backup has lost parts of an image: copying it again'],
    );
  });

  it('is noticed where a manifest of one platform is lost', async () => {
    const stage = await openStage();
    await send(stage);
    stage.backup.store.deleteManifest(repositoryOf(stage), image.digest);

    await send(stage);
    await stage.settle();

    assertIsWhole(stage, index);
  });

  it('is not used when the source is gone, and the reason is said', async () => {
    const stage = await openStage(image);
    await send(stage);
    lose(stage, image, 0);
    await stage.source.close();

    const { allowed, status } = await send(stage);

    assert.equal(allowed, false);
    assert.match(
      status?.message ?? '',
      /its backup is incomplete: the backup registry has lost parts of it$/,
    );
  });

  it('is asked for nothing more when the answer is given', async () => {
    const stage = await openStage();
    await send(stage);
    stage.backup.requests.clear();

    await send(stage);

    assert.deepEqual(stage.backup.requests.tally(), { 'HEAD manifest': 2 });
  });

  it('is looked at once in ten minutes', async () => {
    const stage = await openStage();
    await send(stage);
    const looks: number[] = [];

    for (const minute of [0, 1, 9.9, 10, 11]) {
      stage.clock.now = minute * 60_000;
      await send(stage);
      looks.push(await stage.settle());
    }

    assert.deepEqual(looks, [1, 0, 0, 1, 0]);
  });

  it('is looked at again by the next review where it could not be mended', async () => {
    const stage = await openStage();
    await send(stage);
    lose(stage, image, 1);
    await send(stage);
    const fault = stage.source.faults.add(({ kind }) => kind === 'blob', answer(404));
    await stage.settle();
    fault.end();

    await send(stage);
    await stage.settle();

    assertIsWhole(stage, index);
  });
});

describe('a backup that cannot be asked for its layers', () => {
  for (const status of [403, 405, 500]) {
    it(`is trusted where it says ${status}`, async () => {
      const stage = await openStage(image);
      await send(stage);
      stage.backup.faults.add(
        ({ method, kind }) => method === 'HEAD' && kind === 'blob',
        answer(status),
      );
      await stage.source.close();

      const { allowed, warnings } = await send(stage);

      assert.equal(allowed, true);
      assert.match(warnings?.join() ?? '', /using the backup of/);
    });
  }

  it('is trusted where a proxy serves its manifest as something else', async () => {
    const stage = await openStage(image);
    await send(stage);
    stage.backup.faults.add(
      on('GET', 'manifest'),
      changeHeaders({ 'content-type': 'application/octet-stream' }),
    );
    await stage.source.close();

    const { allowed, warnings } = await send(stage);

    assert.equal(allowed, true);
    assert.match(warnings?.join() ?? '', /using the backup of/);
  });
});

describe('checkLater', () => {
  function openPatrol(): {
    readonly held: ((isComplete: boolean) => void)[];
    readonly checkLater: (n: number, mend?: () => Promise<unknown>) => Promise<void>;
  } {
    const held: ((isComplete: boolean) => void)[] = [];
    const cloner = {
      ...createFakeCloner(),
      isComplete: async () => {
        const { promise, resolve } = Promise.withResolvers<boolean>();
        held.push(resolve);
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
    const question = { cloner, backup, access: { side: 'backup' }, signal } as const;
    return {
      held,
      async checkLater(n, mend = () => Promise.resolve()) {
        integrity.checkLater(question, `sha256:${String(n).padStart(64, '0')}`, mend);
        await Promise.all(due.splice(0).map((work) => work()));
      },
    };
  }

  it('looks at two at once, whoever has hundreds looked at', async () => {
    const { held, checkLater } = openPatrol();

    const all = [1, 2, 3].map((n) => checkLater(n));
    await settle();
    assert.equal(held.length, 2);
    held[0]?.(true);
    await settle();
    assert.equal(held.length, 3);

    for (const say of held) say(true);
    await Promise.all(all);
  });

  it('looks at others while one is mended', async () => {
    const { held, checkLater } = openPatrol();
    const mending = Promise.withResolvers<undefined>();
    const all = [1, 2, 3, 4].map((n) => checkLater(n, () => mending.promise));
    await settle();

    held[0]?.(false);
    held[1]?.(false);
    await settle();

    assert.equal(held.length, 4);
    mending.resolve(undefined);
    for (const say of held) say(true);
    await Promise.all(all);
  });

  it('has no more than a hundred put off, and those that were not looked at another time', async () => {
    const { held, checkLater } = openPatrol();
    const all = Array.from({ length: 103 }, (_, n) => checkLater(n));
    await settle();

    await checkLater(200);
    for (let looked = 0; looked < 102; looked += 1) {
      held[looked]?.(true);
      await settle();
    }
    await Promise.all(all);
    assert.equal(held.length, 102);

    all.push(checkLater(200));
    await settle();
    assert.equal(held.length, 103);
    held[102]?.(true);
    await Promise.all(all);
  });
});

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}

describe('isUsable', () => {
  it('trusts a backup that does not say in the time that is left', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const cloner = { ...createFakeCloner(), isComplete: () => new Promise<never>(() => undefined) };
    const integrity = createIntegrityCheck({
      cloner,
      logger: createMemoryLog().logger,
      now: () => 0,
    });
    const question = {
      cloner,
      backup: { domain: 'backup.test', path: 'acme/app', tag: '1' },
      access: { side: 'backup' },
      signal: new AbortController().signal,
    } as const;

    const usable = integrity.isUsable(question, image.digest, 300);
    t.mock.timers.tick(300);

    assert.equal(await usable, true);
  });
});
