import * as v from 'valibot';
import { list, object, parse, type ReviewRequest, stringMap } from './review.ts';

/** One place in an object that names an image. */
export interface ImagePlace {
  /** JSON pointer (RFC 6901) of the string. */
  readonly pointer: string;
  /** For a person: `container "web"`. */
  readonly label: string;
  /** `containers/web`: the same place in the old object and in the annotation, whatever its position in the list. */
  readonly id: string;
  /** `containers/0`: the id of a container without a name, to which Knative gives one later. */
  readonly position: string;
  readonly image: string;
  /** `imagePullPolicy: Never`: the node is to have the image, nobody pulls it. */
  readonly neverPulled: boolean;
}

/** The parts of a pod-carrying object that we read. */
export interface Workload {
  /** Of labels and annotations only those that say something to us. */
  readonly labels: ReadonlyMap<string, string>;
  readonly templateLabels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  /** The innermost of the objects around the annotations that exists: JSON Patch adds one level at a time. */
  readonly annotationParent: 'object' | 'metadata' | 'annotations';
  readonly controller?: { readonly group: string; readonly kind: string };
  readonly places: readonly ImagePlace[];
  /** JSON pointer of the pod's spec. */
  readonly podSpec: string;
  /** Absent where the pod takes its namespace's `default`. */
  readonly serviceAccount?: string;
  /** Names in `imagePullSecrets`; absent where the field is absent or null. */
  readonly pullSecrets?: readonly string[];
}

/** Where each kind keeps its pod: the path of what has `spec` and, for templates, `metadata` inside. */
const podPaths: ReadonlyMap<string, readonly string[]> = new Map([
  ['/Pod', []],
  ['/ReplicationController', ['spec', 'template']],
  ['/PodTemplate', ['template']],
  ['apps/Deployment', ['spec', 'template']],
  ['apps/DaemonSet', ['spec', 'template']],
  ['apps/StatefulSet', ['spec', 'template']],
  ['apps/ReplicaSet', ['spec', 'template']],
  ['batch/Job', ['spec', 'template']],
  ['batch/CronJob', ['spec', 'jobTemplate', 'spec', 'template']],
  ['serving.knative.dev/Service', ['spec', 'template']],
  ['serving.knative.dev/Configuration', ['spec', 'template']],
]);

const optionalText = v.nullish(v.string('is not a string'));

const container = object({
  name: optionalText,
  image: optionalText,
  imagePullPolicy: optionalText,
});
const containers = list(container);

const volume = object({
  name: optionalText,
  image: v.nullish(object({ reference: optionalText, pullPolicy: optionalText })),
});

const podSchema = object({
  metadata: v.nullish(object({ labels: stringMap })),
  spec: v.nullish(
    object({
      containers,
      initContainers: containers,
      ephemeralContainers: containers,
      volumes: list(volume),
      serviceAccountName: optionalText,
      serviceAccount: optionalText,
      imagePullSecrets: list(object({ name: optionalText })),
    }),
  ),
});

const metadataSchema = object({
  metadata: v.nullish(
    object({
      labels: stringMap,
      annotations: stringMap,
      ownerReferences: list(
        object({
          apiVersion: v.string('is not a string'),
          kind: v.string('is not a string'),
          controller: v.nullish(v.boolean('is not a boolean')),
        }),
      ),
    }),
  ),
});

/** All others would be kept for as long as a registry is silent. */
const ownNames =
  /^(image-cloner(\/.*)?|kubernetes\.io\/config\.mirror|serving\.knative\.dev\/service)$/;

/** A DNS label. Longer names are refused, but only after admission. */
const maxNameLength = 63;

const containerLists = [
  ['containers', 'container'],
  ['initContainers', 'init container'],
  ['ephemeralContainers', 'ephemeral container'],
] as const;

/** Whether we look into objects of that kind at all; the only subresource that names images is `pods/ephemeralcontainers`. */
export function isWorkload({
  kind,
  subResource,
}: Pick<ReviewRequest, 'kind' | 'subResource'>): boolean {
  if (subResource !== '' && !isEphemeral({ kind, subResource })) return false;
  return podPaths.has(`${kind.group}/${kind.kind}`);
}

/** `kubectl debug`: the API server keeps nothing of a patch there but the ephemeral containers themselves. */
export function isEphemeral({
  kind,
  subResource,
}: Pick<ReviewRequest, 'kind' | 'subResource'>): boolean {
  return kind.group === '' && kind.kind === 'Pod' && subResource === 'ephemeralcontainers';
}

/** Reads `request.object` (or `oldObject`) of one of our kinds. Throws `CloneError` `INVALID_REVIEW`. */
export function parseWorkload(request: ReviewRequest, field: 'object' | 'oldObject'): Workload {
  const found = `request.${field}`;
  const { metadata } = parse(metadataSchema, request[field], found);
  const path = podPaths.get(`${request.kind.group}/${request.kind.kind}`) ?? [];
  const pod = parse(podSchema, descend(request[field], path), [found, ...path].join('.'));
  const owner = metadata?.ownerReferences?.find(({ controller }) => controller === true);
  const podSpec = ['', ...path, 'spec'].join('/');
  // `serviceAccount` is the name that the field had before 1.0, and still has for some.
  const serviceAccount = pod.spec?.serviceAccountName || pod.spec?.serviceAccount;
  const pullSecrets = pod.spec?.imagePullSecrets?.map(({ name }) => name ?? '');
  return {
    labels: toMap(metadata?.labels),
    templateLabels: toMap(pod.metadata?.labels),
    annotations: toMap(metadata?.annotations),
    annotationParent: isAbsent(metadata)
      ? 'object'
      : isAbsent(metadata.annotations)
        ? 'metadata'
        : 'annotations',
    ...(owner !== undefined && {
      controller: { group: groupOf(owner.apiVersion), kind: owner.kind },
    }),
    places: findPlaces(pod.spec ?? {}, podSpec),
    podSpec,
    ...(serviceAccount && { serviceAccount }),
    ...(pullSecrets !== undefined && { pullSecrets }),
  };
}

type PodSpec = NonNullable<v.InferOutput<typeof podSchema>['spec']>;

function findPlaces(spec: Partial<PodSpec>, podSpec: string): readonly ImagePlace[] {
  const inContainers = containerLists.flatMap(([list, label]) =>
    (spec[list] ?? []).map((item, index) => ({
      pointer: `${podSpec}/${list}/${index}/image`,
      ...identify(list, label, item.name ?? '', index),
      image: item.image ?? '',
      neverPulled: item.imagePullPolicy === 'Never',
    })),
  );
  const inVolumes = (spec.volumes ?? []).map(({ name, image }, index) => ({
    pointer: `${podSpec}/volumes/${index}/image/reference`,
    ...identify('volumes', 'volume', name ?? '', index),
    image: image?.reference ?? '',
    neverPulled: image?.pullPolicy === 'Never',
  }));
  // A template may leave the image to be filled in by others.
  return [...inContainers, ...inVolumes].filter(({ image }) => image !== '');
}

function identify(
  list: string,
  label: string,
  name: string,
  index: number,
): Pick<ImagePlace, 'label' | 'id' | 'position'> {
  const position = `${list}[${index}]`;
  if (name === '') return { label: position, id: position, position };
  const shown = name.length > maxNameLength ? `${name.slice(0, maxNameLength)}…` : name;
  return { label: `${label} ${JSON.stringify(shown)}`, id: `${list}/${name}`, position };
}

/** The object below `path`; whatever is in the way is left to the schema of what was to be found there. */
function descend(object: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((node, key) => {
    if (node === undefined || node === null) return {};
    if (typeof node !== 'object' || Array.isArray(node)) return node;
    return Object.hasOwn(node, key) ? (Reflect.get(node, key) ?? {}) : {};
  }, object);
}

function toMap(
  record: Readonly<Record<string, string>> | null | undefined,
): ReadonlyMap<string, string> {
  return new Map(Object.entries(record ?? {}).filter(([name]) => ownNames.test(name)));
}

function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
}
