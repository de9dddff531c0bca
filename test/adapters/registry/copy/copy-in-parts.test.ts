import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  answer,
  changeHeaders,
  corruptBody,
  cutBody,
  makeImage,
  seed,
} from '../../../../lib/memory-registry/index.ts';
import { createSteppingClock } from '../../../support/stepping-clock.ts';
import { type Bench, useBench, walk } from '../bench.ts';

const openBench = useBench();

const mebibyte = 1024 * 1024;
/** Incompressible enough that no two parts are the same. */
const layer = new Uint8Array(13 * mebibyte);
for (let at = 0; at < layer.length; at += 1) layer[at] = (at * 31 + (at >> 12)) % 251;
const image = makeImage({ layers: [layer] });
const layerDigest = image.blobs.find((blob) => blob.size === layer.length)?.digest ?? '';

/** In this clock every layer is slow. */
async function open(): Promise<Bench> {
  const bench = await openBench({ now: createSteppingClock(10) });
  seed(bench.source, 'app:1', image);
  return bench;
}

interface Requested {
  readonly method: string;
  readonly path: string;
  readonly headers: Headers;
}

const isLayer = ({ method, path }: Requested): boolean =>
  method === 'GET' && path.endsWith(layerDigest);
const isPart = (request: Requested): boolean =>
  isLayer(request) && /^bytes=\d+-\d+$/.test(request.headers.get('range') ?? '');

const partsOf = ({ source }: Bench): number => source.requests.list().filter(isPart).length;
const wholes = ({ source }: Bench): number =>
  source.requests.list().filter((request) => isLayer(request) && !isPart(request)).length;

async function copy(bench: Bench): Promise<void> {
  const { bytes } = await bench.copy('app', image.digest);
  assert.ok(bytes > layer.length, `${bytes} bytes`);
  assert.deepEqual(walk(bench.backup, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
}

describe('copyBlob of a large layer from a slow registry', () => {
  it('reads the layer in parts', async () => {
    const bench = await open();

    await copy(bench);
    assert.equal(wholes(bench), 1);
    assert.ok(partsOf(bench) >= 4);
  });

  for (const { what, fault } of [
    { what: 'answers 416 to a range', fault: answer(416) },
    { what: 'answers 403 to a range', fault: answer(403) },
    { what: 'answers 404 to a range', fault: answer(404) },
    { what: 'answers 429 to a range', fault: answer(429) },
    { what: 'answers 500 to a range', fault: answer(500) },
    {
      what: 'names another range than requested',
      fault: changeHeaders({ 'content-range': `bytes 0-${2 * mebibyte - 1}/${layer.length}` }),
    },
    {
      what: 'names another length of the layer',
      fault: changeHeaders({ 'content-range': 'bytes 0-1/2' }),
    },
    { what: 'cuts each range in the middle', fault: cutBody(1_000) },
  ]) {
    it(`copies the layer from a registry that ${what}`, async () => {
      const bench = await open();
      bench.source.faults.add(isPart, fault);

      await copy(bench);
    });
  }

  it('copies the layer from a registry that ignores ranges', async () => {
    const bench = await open();
    bench.source.faults.add(isPart, async (exchange, next) => {
      const headers = new Headers(exchange.headers);
      headers.delete('range');
      return await next({ ...exchange, headers });
    });

    await copy(bench);
  });

  it('copies the layer in one piece after a registry served other bytes in a range', async () => {
    const bench = await open();
    bench.source.faults.add(isPart, corruptBody());

    await copy(bench);

    assert.equal(wholes(bench), 2);
  });

  it('resumes after a part that was cut when the stream had ended', async () => {
    const bench = await open();
    const isLast = (request: Requested): boolean =>
      isPart(request) && request.headers.get('range') === rangeOfLastPart(bench);
    bench.source.faults.add(isLast, cutBody(1_000), { times: 1 });

    await copy(bench);
  });

  it('denies an image whose layer is other content in parts and in one piece', async () => {
    const bench = await open();
    bench.source.faults.add(isLayer, corruptBody());

    await assert.rejects(bench.copy('app', image.digest), {
      code: 'SOURCE_REFUSED',
      message: /its content does not match its digest$/,
    });
    assert.deepEqual(bench.backup.store.tags('acme/app'), []);
  });
});

/** The range that ends with the layer. */
function rangeOfLastPart({ source }: Bench): string {
  const ranges = source.requests.list().map(({ headers }) => headers.get('range') ?? '');
  return ranges.find((range) => range.endsWith(`-${layer.length - 1}`)) ?? '';
}
