import assert from 'node:assert/strict';
import { type Image, makeImage } from '../../../lib/memory-registry/index.ts';
import { push } from '../../real/support/images.ts';
import type { Bench } from '../bench.ts';
import { compare, report, row, time } from '../figures.ts';
import { inParallel } from '../in-parallel.ts';
import { createReviewClient } from '../review-client.ts';

const count = 200;
const baseBytes = 4 * 1024 * 1024;
const ownBytes = 16 * 1024;
/** The default of MAX_CLONES, and as many processes of the peer. */
const width = 4;

interface SharedImage {
  readonly path: string;
  readonly image: Image;
}

/** Images with a base layer in common, behind the network, all applied at once, beside four processes of skopeo. */
export async function benchSharedBase(bench: Bench): Promise<void> {
  const peer = bench.peers.installed.find(({ name }) => name === 'skopeo');
  const [ours, other] = [[] as number[], [] as number[]];
  const uploads = { ours: [] as number[], peer: [] as number[] };
  const retries: number[] = [];
  for (let round = 1; round <= bench.rounds; round += 1) {
    const base = makeLayer(`base ${round}`);
    const images = makeImages(base.bytes, round);
    await inParallel(width, images, ({ path, image }) => push(bench.source, path, image, '1'));

    const webhook = await bench.startWebhook('ours');
    const client = createReviewClient(webhook);
    await bench.backup.forgetRequests();
    ours.push(
      await time(async () => {
        const applied = await Promise.all(
          images.map(({ path }) => client.apply(`${bench.network.host}/${path}:1`)),
        );
        retries.push(applied.reduce((sum, { retries }) => sum + retries, 0));
      }),
    );
    uploads.ours.push(await countUploads(bench, base.digest));
    client.close();
    await webhook.stop();

    if (peer === undefined) continue;
    await bench.backup.forgetRequests();
    other.push(
      await time(() =>
        inParallel(width, images, ({ path }) =>
          peer.copy(`${bench.network.host}/${path}:1`, `${bench.backup.host}/peer/${path}:1`),
        ),
      ),
    );
    uploads.peer.push(await countUploads(bench, base.digest));
  }
  const name = `skopeo -P${width}`;
  const what = `${count} images, base of 4 MiB`;
  report(compare(what, ours, peer === undefined ? [] : [{ name, values: other }], 's'));
  report(
    row(
      '  uploads of the base',
      `ours ${uploads.ours.join(', ')};`,
      `${name} ${uploads.peer.join(', ')}`,
    ),
  );
  report(row('  retry answers', retries.join(', ')));
}

function makeLayer(seed: string): Image['blobs'][number] {
  const [, layer] = makeImage({ layers: [baseBytes], seed }).blobs;
  assert.ok(layer);
  return layer;
}

function makeImages(base: Image['bytes'], round: number): readonly SharedImage[] {
  return Array.from({ length: count }, (_, index) => {
    const name = `shared-${round}-${index}`;
    return { path: `library/${name}`, image: makeImage({ layers: [base, ownBytes], seed: name }) };
  });
}

/** Uploads of the blob that were completed, without mounts. */
async function countUploads({ backup }: Bench, digest: string): Promise<number> {
  const requests = await backup.requests();
  return requests.filter(
    ({ method, path, status }) =>
      method === 'PUT' && status === 201 && decodeURIComponent(path).includes(`digest=${digest}`),
  ).length;
}
