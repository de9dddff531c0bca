import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import {
  type AdmissionHandler,
  type AdmissionReview,
  createAdmissionHandler,
} from '../../lib/index.ts';
import {
  answer,
  createHold,
  type Image,
  type MemoryRegistry,
  makeImage,
  seed,
} from '../../lib/memory-registry/index.ts';
import { type Bench, openBench } from '../adapters/registry/bench.ts';
import { deployment, policy, review } from '../support/reviews.ts';

const older = makeImage({ seed: 'older' });
const newer = makeImage({ seed: 'newer' });

let bench: Bench | undefined;
afterEach(async () => {
  await bench?.close();
  bench = undefined;
});

/** A process of its own, which shares nothing with the others but the registries. */
function start({ cloner, backup }: Bench, adoptExisting = false): AdmissionHandler {
  return createAdmissionHandler({
    cloner,
    adoptExisting,
    policy: policy({ backup: { domain: backup.host, namespace: 'acme', naming: 'flat' } }),
  });
}

async function ask(
  handler: AdmissionHandler,
  { source }: Bench,
  version = '1',
): Promise<AdmissionReview['response']> {
  const object = deployment({ web: `${source.host}/app:${version}` });
  const options = { signal: new AbortController().signal, budgetMs: 20_000 };
  return (await handler(review({ object }), options)).response;
}

async function send(handler: AdmissionHandler, on: Bench, version = '1'): Promise<boolean> {
  return (await ask(handler, on, version)).allowed;
}

/** Holds the copy of an image at its first layer until it is released. */
function holdCopy({ backup }: Bench, of: Image): ReturnType<typeof createHold> {
  const hold = createHold();
  const digests = of.blobs.map(({ digest }) => digest);
  const isOf = ({ path }: { path: string }): boolean =>
    digests.some((digest) => decodeURIComponent(path).includes(digest));
  backup.faults.add(isOf, hold.fault);
  return hold;
}

/** A copy of the older image that is held, and the newer one at the source meanwhile. */
async function openSlow(): Promise<{
  readonly bench: Bench;
  readonly hold: ReturnType<typeof createHold>;
  readonly slow: Promise<boolean>;
}> {
  bench = await openBench();
  seed(bench.source, 'app:1', older);
  const hold = holdCopy(bench, older);
  const slow = send(start(bench), bench);
  await hold.waiting();
  seed(bench.source, 'app:1', newer);
  return { bench, hold, slow };
}

function heldBy({ store }: Pick<MemoryRegistry, 'store'>, tag: string): string | undefined {
  const [repository = ''] = store.repositories();
  return store.manifest(repository, tag)?.digest;
}

const generation = ({ digest }: Image): string => `1.${digest.slice(7, 19)}`;

describe('a copy that another process has overtaken', () => {
  it('leaves the tag at what the source holds now, and keeps its own generation', async () => {
    const { bench, hold, slow } = await openSlow();
    assert.equal(await send(start(bench), bench), true);

    hold.release();

    assert.equal(await slow, true);
    assert.equal(heldBy(bench.backup, '1'), newer.digest);
    assert.equal(heldBy(bench.backup, generation(older)), older.digest);
  });

  it('moves the tag where the source has gone back to it meanwhile', async () => {
    const { bench, hold, slow } = await openSlow();
    await send(start(bench), bench);
    seed(bench.source, 'app:1', older);

    hold.release();

    assert.equal(await slow, true);
    assert.equal(heldBy(bench.backup, '1'), older.digest);
    assert.equal(heldBy(bench.backup, generation(newer)), newer.digest);
  });

  for (const status of [503, 404]) {
    it(`leaves the tag where it was moved to when the source says ${status} now`, async () => {
      const { bench, hold, slow } = await openSlow();
      await send(start(bench), bench);
      bench.source.faults.add(({ path }) => path.endsWith('/manifests/1'), answer(status));

      hold.release();

      assert.equal(await slow, true);
      assert.equal(heldBy(bench.backup, '1'), newer.digest);
      assert.equal(heldBy(bench.backup, generation(older)), older.digest);
    });
  }

  it('leaves the tag where it was moved to between two attempts to write it', async () => {
    bench = await openBench();
    const { source, backup } = bench;
    const slow = start(bench);
    const quick = start(bench);
    seed(source, 'app:1', older);
    const isTag = ({ method, path }: { method: string; path: string }): boolean =>
      method === 'PUT' && path.endsWith('/manifests/1');
    const between = async (): Promise<void> => {
      seed(source, 'app:1', newer);
      await send(quick, bench ?? assert.fail());
    };
    backup.faults.add(
      isTag,
      async (exchange, next) => {
        await between();
        return await answer(503)(exchange, next);
      },
      { times: 1 },
    );

    assert.equal(await send(slow, bench), true);

    assert.equal(heldBy(backup, '1'), newer.digest);
    assert.equal(heldBy(backup, generation(older)), older.digest);
  });

  it('leaves the tag alone where it was asked for by digest, and there was none', async () => {
    bench = await openBench();
    seed(bench.source, 'app:1', older);
    const hold = holdCopy(bench, older);
    const pinned = send(start(bench), bench, `1@${older.digest}`);
    await hold.waiting();
    seed(bench.source, 'app:1', newer);
    await send(start(bench), bench);
    seed(bench.source, 'app:1', older);

    hold.release();

    assert.equal(await pinned, true);
    assert.equal(heldBy(bench.backup, '1'), newer.digest);
    assert.equal(heldBy(bench.backup, generation(older)), older.digest);
  });
});

describe('a copy whose source has gone back meanwhile to what the tag holds', () => {
  /** The tag holds the older image, and a copy of the newer one is held. */
  async function openReverted(): ReturnType<typeof openSlow> {
    bench = await openBench();
    seed(bench.source, 'app:1', older);
    await send(start(bench), bench);
    seed(bench.source, 'app:1', newer);
    const hold = holdCopy(bench, newer);
    const slow = send(start(bench), bench);
    await hold.waiting();
    seed(bench.source, 'app:1', older);
    return { bench, hold, slow };
  }

  it('leaves the tag there, and keeps its own generation', async () => {
    const { bench, hold, slow } = await openReverted();
    assert.equal(await send(start(bench), bench), true);

    hold.release();

    assert.equal(await slow, true);
    assert.equal(heldBy(bench.backup, '1'), older.digest);
    assert.equal(heldBy(bench.backup, generation(newer)), newer.digest);
  });

  it('moves the tag where the source does not say', async () => {
    const { bench, hold, slow } = await openReverted();
    bench.source.faults.add(({ path }) => path.endsWith('/manifests/1'), answer(503));

    hold.release();

    assert.equal(await slow, true);
    assert.equal(heldBy(bench.backup, '1'), newer.digest);
    assert.equal(heldBy(bench.backup, generation(older)), older.digest);
  });
});

describe('a tag that somebody else pushes while it is copied', () => {
  const theirs = makeImage({ seed: 'theirs' });

  /** Pushed when the copy has begun to write. */
  async function pushInBetween(adoptExisting: boolean): Promise<AdmissionReview['response']> {
    bench = await openBench();
    seed(bench.source, 'app:1', older);
    const hold = holdCopy(bench, older);
    const answered = ask(start(bench, adoptExisting), bench);
    await hold.waiting();
    const [{ path } = { path: '' }] = bench.backup.requests.list({ kind: 'manifest' });
    const [, repository = ''] = /^\/v2\/(.*)\/manifests\//.exec(path) ?? [];
    seed(bench.backup, `${repository}:1`, theirs);
    hold.release();
    return await answered;
  }

  it('is left alone, and the reason is said', async () => {
    const { allowed, status } = await pushInBetween(false);

    assert.equal(allowed, false);
    assert.match(status?.message ?? '', /exists in the backup and was not written by image-cloner/);
    assert.equal(heldBy(bench?.backup ?? assert.fail(), '1'), theirs.digest);
  });

  it('is kept before it is taken over with ADOPT_EXISTING', async () => {
    const { allowed } = await pushInBetween(true);

    assert.equal(allowed, true);
    const { backup } = bench ?? assert.fail();
    assert.equal(heldBy(backup, '1'), older.digest);
    assert.equal(heldBy(backup, generation(theirs)), theirs.digest);
  });
});
