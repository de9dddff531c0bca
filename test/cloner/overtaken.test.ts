import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { type AdmissionHandler, createAdmissionHandler } from '../../lib/index.ts';
import {
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
function start({ cloner, backup }: Bench): AdmissionHandler {
  return createAdmissionHandler({
    cloner,
    policy: policy({ backup: { domain: backup.host, namespace: 'acme', naming: 'flat' } }),
  });
}

async function send(handler: AdmissionHandler, { source }: Bench): Promise<boolean> {
  const object = deployment({ web: `${source.host}/app:1` });
  const options = { signal: new AbortController().signal, budgetMs: 20_000 };
  return (await handler(review({ object }), options)).response.allowed;
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

function heldBy({ store }: Pick<MemoryRegistry, 'store'>, tag: string): string | undefined {
  const [repository = ''] = store.repositories();
  return store.manifest(repository, tag)?.digest;
}

const generation = ({ digest }: Image): string => `1.${digest.slice(7, 19)}`;

describe('a copy that another process has overtaken', () => {
  it('leaves the tag at what the source holds now, and keeps its own generation', async () => {
    bench = await openBench();
    seed(bench.source, 'app:1', older);
    const hold = holdCopy(bench, older);
    const slow = send(start(bench), bench);
    await hold.waiting();
    seed(bench.source, 'app:1', newer);
    assert.equal(await send(start(bench), bench), true);

    hold.release();

    assert.equal(await slow, true);
    assert.equal(heldBy(bench.backup, '1'), newer.digest);
    assert.equal(heldBy(bench.backup, generation(older)), older.digest);
  });

  it('moves the tag where the source has gone back to it meanwhile', async () => {
    bench = await openBench();
    seed(bench.source, 'app:1', older);
    const hold = holdCopy(bench, older);
    const slow = send(start(bench), bench);
    await hold.waiting();
    seed(bench.source, 'app:1', newer);
    await send(start(bench), bench);
    seed(bench.source, 'app:1', older);

    hold.release();

    assert.equal(await slow, true);
    assert.equal(heldBy(bench.backup, '1'), older.digest);
    assert.equal(heldBy(bench.backup, generation(newer)), newer.digest);
  });
});
