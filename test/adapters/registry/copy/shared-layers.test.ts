import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  createSharedLayers,
  type LayerSharing,
} from '../../../../lib/adapters/registry/copy/shared-layers.ts';
import {
  answer,
  createHold,
  type Image,
  makeImage,
  on,
  refuseMount,
  seed,
} from '../../../../lib/memory-registry/index.ts';
import { type Bench, forgottenUploads, useBench, walk } from '../bench.ts';

const open = useBench();

/** Larger than every own layer. */
const base = Uint8Array.from({ length: 5_000 }, (_, index) => (index * 31) % 251);
const [one, two] = ['one', 'two'].map((name) => makeImage({ layers: [base, 300], seed: name }));
const baseDigest = one?.blobs.find(({ size }) => size === base.length)?.digest ?? '';

async function copy(
  bench: Bench,
  path: string,
  image: Image | undefined,
  mayShareLayers = true,
): Promise<number> {
  assert.ok(image);
  seed(bench.source, `${path}:1`, image);
  const { bytes } = await bench.copy(path, image.digest, { mayShareLayers });
  const held = walk(bench.backup, `acme/${path}`, image.digest);
  assert.deepEqual(held, walk(bench.source, path, '1'));
  return bytes;
}

const mounts = ({ backup }: Bench): number =>
  backup.requests.list({ method: 'POST' }).filter(({ path }) => path.includes('mount=')).length;

const isRead = ({ method, path }: { readonly method: string; readonly path: string }): boolean =>
  method === 'GET' && path.includes(baseDigest);

const baseReads = ({ source }: Bench): number => source.requests.list().filter(isRead).length;

describe('layers that another repository of the backup has', () => {
  it('mounts a layer that a copy has moved, and counts no bytes for it', async () => {
    const bench = await open();
    await copy(bench, 'one', one);

    const bytes = await copy(bench, 'two', two);

    assert.equal(baseReads(bench), 1);
    assert.ok(bytes > 0 && bytes < base.length, `${bytes} bytes`);
  });

  it('mounts a layer from the repository into which it was mounted', async () => {
    const bench = await open();
    await copy(bench, 'one', one);
    await copy(bench, 'two', two);
    bench.backup.store.deleteManifest('acme/one', one?.digest ?? '');

    await copy(bench, 'three', makeImage({ layers: [base, 300], seed: 'three' }));

    const last = bench.backup.requests.list({ method: 'POST' }).map(({ path }) => path);
    assert.equal(last.filter((path) => path.endsWith('from=acme%2Ftwo')).length, 1);
  });

  it('mounts no layer of a copy that may not share its layers', async () => {
    const bench = await open();
    await copy(bench, 'one', one, false);

    await copy(bench, 'two', two);

    assert.equal(mounts(bench), 0);
    assert.equal(baseReads(bench), 2);
  });

  it('mounts no layer that a copy has only found in the backup', async () => {
    const bench = await open();
    bench.backup.store.putBlob('acme/one', base);
    await copy(bench, 'one', one);

    await copy(bench, 'two', two);

    assert.equal(mounts(bench), 0);
    assert.equal(baseReads(bench), 1);
  });

  for (const status of [undefined, 400, 403, 404, 405, 500]) {
    it(`uploads a layer if the backup answers its mount with ${status ?? 'an upload session'}`, async () => {
      const bench = await open();
      await copy(bench, 'one', one);
      bench.backup.faults.add(on('POST', 'uploads'), refuseMount(status));

      await copy(bench, 'two', two);

      assert.equal(baseReads(bench), 2);
      assert.deepEqual(forgottenUploads(bench.backup), []);
    });
  }

  it('uploads a layer if the backup answers its mount with 201 and does not have it', async () => {
    const bench = await open();
    await copy(bench, 'one', one);
    bench.backup.faults.add(({ path }) => path.includes('mount='), answer(201, { body: '' }));

    await copy(bench, 'two', two);

    assert.equal(baseReads(bench), 2);
  });
});

describe('copies of images with the same layer at the same time', () => {
  /** A copy of `one` that waits for the base layer, and one of `two` that waits for its own layer if `holdsOwn`. */
  async function start({ holdsOwn }: { readonly holdsOwn: boolean }): Promise<{
    readonly bench: Bench;
    readonly copies: readonly [Promise<number>, Promise<number>];
    readonly baseHold: ReturnType<typeof createHold>;
    readonly ownHold: ReturnType<typeof createHold>;
  }> {
    const bench = await open();
    const [baseHold, ownHold] = [createHold(), createHold()];
    bench.source.faults.add(isRead, baseHold.fault, { times: 1 });
    const first = copy(bench, 'one', one);
    await baseHold.waiting();
    const isOwn = on('GET', 'blob');
    bench.source.faults.add(
      (request) => isOwn(request) && holdsOwn && request.path.includes('/two/') && !isRead(request),
      ownHold.fault,
    );
    const second = copy(bench, 'two', two);
    return { bench, copies: [first, second], baseHold, ownHold };
  }

  it('waits for the layer of the other copy while it has layers of its own to move', async () => {
    const { bench, copies, baseHold, ownHold } = await start({ holdsOwn: true });
    await ownHold.waiting();

    baseHold.release();
    await copies[0];
    ownHold.release();
    await copies[1];

    assert.equal(baseReads(bench), 1);
  });

  it('moves the layer itself when it has nothing else to do', async () => {
    const { bench, copies, baseHold } = await start({ holdsOwn: false });

    await copies[1];

    assert.equal(baseReads(bench), 2);
    baseHold.release();
    await copies[0];
  });
});

describe('createSharedLayers', () => {
  const digest = 'sha256:d';
  const target = (path: string): { readonly domain: string; readonly path: string } => ({
    domain: 'backup.test',
    path,
  });

  function create(): {
    readonly sharing: (path: string, source?: string, mayShare?: boolean) => LayerSharing;
    readonly pass: (ms: number) => void;
  } {
    let time = 0;
    const layers = createSharedLayers({ now: () => time });
    return {
      sharing: (path, source = 'hub.test', mayShare = true) =>
        layers.of({ source, target: target(path), mayShare }),
      pass: (ms) => {
        time += ms;
      },
    };
  }

  const done = (): Promise<void> => Promise.resolve();

  it('forgets a donor whose blob cannot be mounted', async () => {
    const { sharing } = create();
    await sharing('one').move(digest, done);
    assert.equal(sharing('two').donorOf(digest), 'one');

    sharing('two').onMount(digest, false);

    assert.equal(sharing('three').donorOf(digest), undefined);
  });

  it('mounts nothing for ten minutes after three refusals in a row', async () => {
    const { sharing, pass } = create();
    for (const name of ['a', 'b', 'c', 'd']) await sharing('one').move(name, done);
    const two = sharing('two');

    two.onMount('a', false);
    two.onMount('b', false);
    assert.equal(two.donorOf('d'), 'one');
    two.onMount('c', false);

    assert.equal(two.donorOf('d'), undefined);
    pass(600_001);
    assert.equal(two.donorOf('d'), 'one');
  });

  it('counts only refusals without a success in between', async () => {
    const { sharing } = create();
    for (const name of ['a', 'b', 'c', 'd']) await sharing('one').move(name, done);
    const two = sharing('two');

    for (const [name, isMounted] of [
      ['a', false],
      ['b', false],
      ['d', true],
      ['c', false],
    ] as const) {
      two.onMount(name, isMounted);
    }

    assert.equal(sharing('three').donorOf('d'), 'two');
  });

  it('learns no donor from a transfer that fails', async () => {
    const { sharing } = create();
    const failing = sharing('one').move(digest, () => Promise.reject(new RangeError('cut')));

    await assert.rejects(failing, RangeError);

    assert.equal(sharing('two').donorOf(digest), undefined);
    assert.equal(sharing('two').isMoving(digest), false);
  });

  it('waits for a transfer only from the same source that may be shared', async () => {
    const { sharing } = create();
    const { promise, resolve } = Promise.withResolvers<void>();
    const moving = [
      sharing('one', 'slow.test').move('a', () => promise),
      sharing('two', 'hub.test', false).move('b', () => promise),
    ];

    assert.equal(sharing('three', 'slow.test').isMoving('a'), true);
    assert.equal(sharing('three', 'hub.test').isMoving('a'), false);
    assert.equal(sharing('three', 'hub.test').isMoving('b'), false);
    resolve();
    await Promise.all(moving);
    assert.equal(sharing('three', 'slow.test').isMoving('a'), false);
  });
});
