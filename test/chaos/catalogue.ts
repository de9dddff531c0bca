import {
  type Image,
  type MemoryRegistry,
  makeImage,
  makeIndex,
  makeSignature,
  seed,
} from '../../lib/memory-registry/index.ts';
import type { Dice } from './random.ts';

/** A tag at a source, with its history. */
export interface Published {
  readonly role: 'hub' | 'vault' | 'safe';
  readonly repository: string;
  readonly tag: string;
  /** Digests of complete images, oldest first. */
  readonly history: string[];
  /** Whether the source serves it, according to the timeline. */
  isThere: boolean;
  /** Only dry runs name it. */
  readonly isDryOnly: boolean;
}

export interface Sources {
  readonly hub: MemoryRegistry;
  readonly vault: MemoryRegistry;
  /** Only pull secrets open it, so without a cluster the catalogue has none of its images. */
  readonly safe: MemoryRegistry;
}

/** The images of the sources, and how they change. */
export interface Catalogue {
  readonly all: readonly [Published, ...Published[]];
  /** Moves the tag to another image. */
  readonly move: (published: Published) => void;
  /** Moves the tag to a manifest without its layers: a push that never completed. */
  readonly breakOff: (published: Published) => void;
}

const repositories = [
  ...['0', '1', '2', '3', '4', '5'].map((n) => ['hub', `library/app-${n}`] as const),
  ...['0', '1', '2', '3'].map((n) => ['hub', `stable/app-${n}`] as const),
  ...['0', '1'].map((n) => ['hub', `moving/app-${n}`] as const),
  ...['0', '1'].map((n) => ['hub', `gone/app-${n}`] as const),
  ...['0', '1'].map((n) => ['vault', `team/secret-${n}`] as const),
  ['hub', 'dry/app'],
] as const;
const closed = ['0', '1', '2'].map((n) => ['safe', `closed/app-${n}`] as const);

export function createCatalogue(dice: Dice, sources: Sources, hasCluster: boolean): Catalogue {
  const publish = (published: Published): Image => {
    const { role, repository, tag, history } = published;
    const image = draw(dice, `${repository}:${tag}`, history.length);
    seed(sources[role], `${repository}:${tag}`, image);
    if (repository.endsWith('-0')) {
      const signature = makeSignature(image);
      seed(sources[role], `${repository}:${signature.tag}`, signature.image);
    }
    history.push(image.digest);
    return image;
  };
  const all = [...repositories, ...(hasCluster ? closed : [])].flatMap(([role, repository]) =>
    ['1', 'stable'].map((tag): Published => {
      const isDryOnly = repository.startsWith('dry/');
      const published = { role, repository, tag, history: [], isThere: true, isDryOnly };
      publish(published);
      return published;
    }),
  );
  const [first, ...rest] = all;
  if (first === undefined) throw new Error('the catalogue is empty');
  return {
    all: [first, ...rest],
    move: publish,
    breakOff: ({ role, repository, tag, history }) => {
      const { store } = sources[role];
      const { mediaType, bytes } = makeImage({
        seed: `broken ${repository} ${tag} ${history.length}`,
        layers: [5_000],
      });
      store.putManifest(repository, { mediaType, bytes }, tag);
    },
  };
}

/** A few kilobytes to a few megabytes, for one platform or three. */
function draw(dice: Dice, name: string, generation: number): Image {
  const question = [name, generation] as const;
  const layers = [0, 1, 2]
    .slice(0, 1 + dice.below(3, 'layers', ...question))
    .map((n) => Math.ceil(2_000 * 10 ** (3 * dice.roll('size', n, ...question))));
  const platforms = dice.chance(0.4, 'index?', ...question)
    ? ['linux/amd64', 'linux/arm64', 'linux/arm/v7']
    : ['linux/amd64'];
  const images = platforms.map((platform) =>
    makeImage({ layers, platform, seed: `${name} ${generation}` }),
  );
  const [only] = images;
  return images.length === 1 && only !== undefined
    ? only
    : makeIndex(images, { attestations: dice.chance(0.5, 'attestations?', ...question) });
}
