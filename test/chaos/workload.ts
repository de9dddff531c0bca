import { randomUUID } from 'node:crypto';
import type { Catalogue, Published } from './catalogue.ts';
import type { Dice } from './random.ts';
import { testNamespaces, toPullSecrets } from './servers/namespaces.ts';

/** One image of a workload, and the catalogue's record of it. */
export interface RequestedImage {
  readonly image: string;
  readonly published: Published;
  /** The digest that it is pinned to. */
  readonly pinned?: string;
}

/** A write by a user or a controller. */
export interface Write {
  readonly nth: number;
  readonly namespace: string;
  readonly requestedImages: readonly RequestedImage[];
  readonly isDryRun: boolean;
  /** Whether one of the cluster's controllers writes, which gets no Retry-After. */
  readonly isController: boolean;
  /** The API server hangs up on the first attempt after this time. */
  readonly hangUpAfterMs?: number;
  readonly timeout: string;
  /** Body of the review; with a stored object it is an UPDATE. */
  readonly toBody: (stored?: unknown) => unknown;
  /** The object before admission. */
  readonly object: Readonly<Record<string, unknown>>;
}

type Kind = readonly [group: string, kind: string];

const kinds: readonly [Kind, ...Kind[]] = [
  ['apps', 'Deployment'],
  ['apps', 'DaemonSet'],
  ['apps', 'StatefulSet'],
  ['batch', 'Job'],
  ['batch', 'CronJob'],
  ['', 'Pod'],
  ['serving.knative.dev', 'Service'],
];
const timeouts = ['2s', '3s', '5s'] as const;

/** Draws the nth write of the run from the seed. */
export function drawWrite(
  dice: Dice,
  nth: number,
  { all }: Catalogue,
  hosts: Readonly<Record<Published['role'], string>>,
): Write {
  const [group, kind] = dice.pick(kinds, 'kind', nth);
  const isDryRun = dice.chance(0.15, 'dry?', nth);
  const isController = kind === 'Pod' && dice.chance(0.3, 'controller?', nth);
  const { name: namespace } = dice.pick(testNamespaces, 'namespace', nth);
  const usable = all.filter(({ isDryOnly }) => isDryRun || !isDryOnly);
  const closed = all.filter(({ role }) => role === 'safe');
  const requestedImages = [0, 1, 2]
    .slice(0, 1 + dice.below(3, 'containers', nth))
    .flatMap((place): readonly RequestedImage[] => {
      const wantsClosed = closed.length > 0 && dice.chance(0.25, 'closed?', nth, place);
      const choice = wantsClosed ? closed : usable;
      const published = choice[dice.below(choice.length, 'image', nth, place)];
      if (published === undefined) return [];
      const { repository, tag, history, role } = published;
      const name = `${hosts[role]}/${repository}`;
      const pinned = dice.chance(0.15, 'pinned?', nth, place) ? history.at(-1) : undefined;
      if (pinned === undefined) return [{ image: `${name}:${tag}`, published }];
      const withTag = dice.chance(0.5, 'tag too?', nth, place) ? `:${tag}` : '';
      return [{ image: `${name}${withTag}@${pinned}`, published, pinned }];
    });
  const object = toObject(
    group,
    kind,
    nth,
    namespace,
    requestedImages.map(({ image }) => image),
  );
  const hangsUp = dice.chance(0.1, 'hang up?', nth);
  return {
    nth,
    namespace,
    requestedImages,
    isDryRun,
    isController,
    ...(hangsUp && { hangUpAfterMs: 10 + dice.below(700, 'hang up', nth) }),
    timeout: dice.pick(timeouts, 'timeout', nth),
    object,
    toBody: (stored) => ({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: {
        uid: randomUUID(),
        kind: { group, version: 'v1', kind },
        resource: { group, version: 'v1', resource: `${kind.toLowerCase()}s` },
        name: `w-${nth}`,
        namespace,
        operation: stored === undefined ? 'CREATE' : 'UPDATE',
        userInfo: {
          username: isController
            ? 'system:kube-controller-manager'
            : `user-${dice.below(5, 'user', nth)}`,
        },
        object,
        ...(stored !== undefined && { oldObject: stored }),
        dryRun: isDryRun,
      },
    }),
  };
}

/** A pod with one image, written after the faults end. */
export function toPod(image: string, published: Published, namespace: string): Write {
  const spec = { containers: [{ name: 'c0', image }], ...toPullSecrets(namespace) };
  const object = { metadata: { name: 'no-faults' }, spec };
  return {
    nth: 0,
    namespace,
    requestedImages: [{ image, published }],
    isDryRun: false,
    isController: false,
    timeout: '10s',
    object,
    toBody: () => ({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: {
        uid: 'no-faults',
        kind: { kind: 'Pod' },
        operation: 'CREATE',
        namespace,
        object,
      },
    }),
  };
}

function toObject(
  group: string,
  kind: string,
  nth: number,
  namespace: string,
  images: readonly string[],
): Readonly<Record<string, unknown>> {
  const [first, ...others] = images.map((image, index) => ({ name: `c${index}`, image }));
  const spec = {
    containers: [first],
    ...(others.length > 0 && { initContainers: others }),
    ...toPullSecrets(namespace),
  };
  const head = {
    apiVersion: group === '' ? 'v1' : `${group}/v1`,
    kind,
    metadata: { name: `w-${nth}` },
  };
  if (kind === 'Pod') return { ...head, spec };
  const template = { metadata: { labels: { app: 'w' } }, spec };
  if (kind === 'CronJob') return { ...head, spec: { jobTemplate: { spec: { template } } } };
  return { ...head, spec: { template } };
}
