import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
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
import { type Bench, useBench } from '../adapters/registry/bench.ts';
import { deployment, policy, review } from '../support/reviews.ts';

const older = makeImage({ seed: 'older' });
const newer = makeImage({ seed: 'newer' });

const openBench = useBench();

/** A new process, which shares only the registries with others. */
function start({ cloner, backup }: Bench, adoptExisting = false): AdmissionHandler {
  return createAdmissionHandler({
    cloner,
    adoptExisting,
    policy: policy({ backup: { domain: backup.host, namespace: 'acme', naming: 'flat' } }),
  });
}

async function sendReview(
  handler: AdmissionHandler,
  { source }: Bench,
  version = '1',
): Promise<AdmissionReview['response']> {
  const object = deployment({ web: `${source.host}/app:${version}` });
  const options = { signal: new AbortController().signal, budgetMs: 20_000 };
  return (await handler(review({ object }), options)).response;
}

async function send(handler: AdmissionHandler, on: Bench, version = '1'): Promise<boolean> {
  return (await sendReview(handler, on, version)).allowed;
}

/** Holds the copy of an image at its first layer until it is released. */
function holdCopy({ backup }: Bench, of: Image): ReturnType<typeof createHold> {
  const hold = createHold();
  const digests = of.blobs.map(({ digest }) => digest);
  const isBlobOfImage = ({ path }: { path: string }): boolean =>
    digests.some((digest) => decodeURIComponent(path).includes(digest));
  backup.faults.add(isBlobOfImage, hold.fault);
  return hold;
}

/** A copy of the older image that is held, while the source has the newer one. */
async function openSlowCopy(): Promise<{
  readonly bench: Bench;
  readonly hold: ReturnType<typeof createHold>;
  readonly slow: Promise<boolean>;
}> {
  const bench = await openBench();
  seed(bench.source, 'app:1', older);
  const hold = holdCopy(bench, older);
  const slow = send(start(bench), bench);
  await hold.waiting();
  seed(bench.source, 'app:1', newer);
  return { bench, hold, slow };
}

function digestOf({ store }: Pick<MemoryRegistry, 'store'>, tag: string): string | undefined {
  const [repository = ''] = store.repositories();
  return store.manifest(repository, tag)?.digest;
}

const generation = ({ digest }: Image): string => `1.${digest.slice(7, 19)}`;

describe('createEnsureBackup when another process moves the tag during a copy', () => {
  it('keeps the tag that another process moved to the digest of the source, and writes its own generation tag', async () => {
    const { bench, hold, slow } = await openSlowCopy();
    assert.equal(await send(start(bench), bench), true);

    hold.release();

    assert.equal(await slow, true);
    assert.equal(digestOf(bench.backup, '1'), newer.digest);
    assert.equal(digestOf(bench.backup, generation(older)), older.digest);
  });

  it('moves the tag that another process moved when the source has gone back to the copied digest', async () => {
    const { bench, hold, slow } = await openSlowCopy();
    await send(start(bench), bench);
    seed(bench.source, 'app:1', older);

    hold.release();

    assert.equal(await slow, true);
    assert.equal(digestOf(bench.backup, '1'), older.digest);
    assert.equal(digestOf(bench.backup, generation(newer)), newer.digest);
  });

  for (const status of [503, 404]) {
    it(`keeps the tag that another process moved when the source answers ${status} at the end of the copy`, async () => {
      const { bench, hold, slow } = await openSlowCopy();
      await send(start(bench), bench);
      bench.source.faults.add(({ path }) => path.endsWith('/manifests/1'), answer(status));

      hold.release();

      assert.equal(await slow, true);
      assert.equal(digestOf(bench.backup, '1'), newer.digest);
      assert.equal(digestOf(bench.backup, generation(older)), older.digest);
    });
  }

  it('keeps the tag that another process moved between two attempts to write it', async () => {
    const bench = await openBench();
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

    assert.equal(digestOf(backup, '1'), newer.digest);
    assert.equal(digestOf(backup, generation(older)), older.digest);
  });

  it('does not move the tag for an image pinned by digest when another process created the tag', async () => {
    const bench = await openBench();
    seed(bench.source, 'app:1', older);
    const hold = holdCopy(bench, older);
    const pinned = send(start(bench), bench, `1@${older.digest}`);
    await hold.waiting();
    seed(bench.source, 'app:1', newer);
    await send(start(bench), bench);
    seed(bench.source, 'app:1', older);

    hold.release();

    assert.equal(await pinned, true);
    assert.equal(digestOf(bench.backup, '1'), newer.digest);
    assert.equal(digestOf(bench.backup, generation(older)), older.digest);
  });
});

describe('createEnsureBackup when the source goes back during a copy', () => {
  /** The tag holds the older image, and a copy of the newer one is held. */
  async function openRevertedSource(): ReturnType<typeof openSlowCopy> {
    const bench = await openBench();
    seed(bench.source, 'app:1', older);
    await send(start(bench), bench);
    seed(bench.source, 'app:1', newer);
    const hold = holdCopy(bench, newer);
    const slow = send(start(bench), bench);
    await hold.waiting();
    seed(bench.source, 'app:1', older);
    return { bench, hold, slow };
  }

  it('keeps the tag when the source has gone back to its digest, and writes its own generation tag', async () => {
    const { bench, hold, slow } = await openRevertedSource();
    assert.equal(await send(start(bench), bench), true);

    hold.release();

    assert.equal(await slow, true);
    assert.equal(digestOf(bench.backup, '1'), older.digest);
    assert.equal(digestOf(bench.backup, generation(newer)), newer.digest);
  });

  it('moves the tag when the source does not answer at the end of the copy', async () => {
    const { bench, hold, slow } = await openRevertedSource();
    bench.source.faults.add(({ path }) => path.endsWith('/manifests/1'), answer(503));

    hold.release();

    assert.equal(await slow, true);
    assert.equal(digestOf(bench.backup, '1'), newer.digest);
    assert.equal(digestOf(bench.backup, generation(older)), older.digest);
  });
});

describe('createEnsureBackup when another tool pushes the tag during a copy', () => {
  const foreign = makeImage({ seed: 'foreign' });

  /** Pushes after the copy has begun to write. */
  async function pushDuringCopy(
    adoptExisting: boolean,
  ): Promise<Pick<Bench, 'backup'> & AdmissionReview['response']> {
    const bench = await openBench();
    seed(bench.source, 'app:1', older);
    const hold = holdCopy(bench, older);
    const sent = sendReview(start(bench, adoptExisting), bench);
    await hold.waiting();
    const [{ path } = { path: '' }] = bench.backup.requests.list({ kind: 'manifest' });
    const [, repository = ''] = /^\/v2\/(.*)\/manifests\//.exec(path) ?? [];
    seed(bench.backup, `${repository}:1`, foreign);
    hold.release();
    return { backup: bench.backup, ...(await sent) };
  }

  it('denies with the reason and keeps the tag that another tool pushed', async () => {
    const { allowed, status, backup } = await pushDuringCopy(false);

    assert.equal(allowed, false);
    assert.match(status?.message ?? '', /exists in the backup and was not written by image-cloner/);
    assert.equal(digestOf(backup, '1'), foreign.digest);
  });

  it('gives the image of another tool a generation tag before ADOPT_EXISTING moves the tag', async () => {
    const { allowed, backup } = await pushDuringCopy(true);

    assert.equal(allowed, true);
    assert.equal(digestOf(backup, '1'), older.digest);
    assert.equal(digestOf(backup, generation(foreign)), foreign.digest);
  });
});
