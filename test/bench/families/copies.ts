import { type Image, makeImage, makeIndex } from '../../../lib/memory-registry/index.ts';
import type { Bench } from '../bench.ts';
import { raceCopies } from '../copy-race.ts';
import { createReviewClient } from '../review-client.ts';

const mebibyte = 1024 * 1024;
const platforms = ['amd64', 'arm64', 'arm/v7', 'arm/v6', '386', 'ppc64le', 's390x', 'riscv64'];

const images: readonly { readonly what: string; readonly make: (seed: string) => Image }[] = [
  {
    // 16 manifests and 48 blobs.
    what: '8 platforms, attestations',
    make: (seed) => makeIndexOf(platforms, Array(3).fill(32 * 1024), seed, true),
  },
  {
    what: '2 platforms, 40 + 20 + 10 MiB',
    make: (seed) => makeIndexOf(platforms.slice(0, 2), toBytes(40, 20, 10), seed),
  },
  { what: 'one layer, 96 MiB', make: (seed) => makeImage({ layers: toBytes(96), seed }) },
];

/** Cold copies from a source behind the network, beside skopeo, crane and regctl. */
export async function benchCopies(bench: Bench): Promise<void> {
  for (const { what, make } of images) {
    const webhook = await bench.startWebhook('ours');
    const client = createReviewClient(webhook);
    await raceCopies(bench, { what, make, from: bench.network, webhook, client });
    client.close();
    await webhook.stop();
  }
}

function makeIndexOf(
  architectures: readonly string[],
  layers: readonly number[],
  seed: string,
  attestations = false,
): Image {
  const children = architectures.map((name) =>
    makeImage({ platform: `linux/${name}`, layers, seed }),
  );
  return makeIndex(children, { attestations });
}

function toBytes(...mebibytes: readonly number[]): readonly number[] {
  return mebibytes.map((size) => size * mebibyte);
}
