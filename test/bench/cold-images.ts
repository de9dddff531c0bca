import { type Image, makeImage, makeIndex } from '../../lib/memory-registry/index.ts';

/** An image of a shape that people really copy; each seed gives other blobs. */
export interface ColdImage {
  readonly what: string;
  /** Names its repositories. */
  readonly path: string;
  readonly make: (seed: string) => Image;
}

const mebibyte = 1024 * 1024;
const architectures = ['amd64', 'arm64', 'arm/v7', 'arm/v6', '386', 'ppc64le', 's390x', 'riscv64'];

export const coldImages: readonly ColdImage[] = [
  {
    // 16 manifests and 48 blobs.
    what: '8 platforms, attestations',
    path: 'eight-platforms',
    make: (seed) => makeIndexOf(architectures, Array(3).fill(32 * 1024), seed, true),
  },
  {
    what: '2 platforms, 40 + 20 + 10 MiB',
    path: 'two-platforms',
    make: (seed) => makeIndexOf(architectures.slice(0, 2), toBytes(40, 20, 10), seed),
  },
  {
    what: 'one layer, 96 MiB',
    path: 'one-layer',
    make: (seed) => makeImage({ layers: toBytes(96), seed }),
  },
];

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
