import * as v from 'valibot';
import {
  list,
  object,
  optionalText,
  parse,
  type ReviewRequest,
  stringMap,
  text,
} from './review.ts';

/** One field of an object that names an image. */
export interface ImagePlace {
  /** JSON pointer (RFC 6901) of the field. */
  readonly pointer: string;
  /** For messages: `container "web"`. */
  readonly label: string;
  /** `containers/web`: the key in the old object and in the annotation. It does not depend on the position in the list. */
  readonly id: string;
  /** `containers[0]`: the id of a container without a name, because Knative adds one later. */
  readonly position: string;
  readonly image: string;
  /** `imagePullPolicy: Never`: the kubelet uses an image that the node already has. */
  readonly neverPulled: boolean;
}

/** The fields that are read of an object that contains a pod. */
export interface Workload {
  /** Absent while the object does not exist. */
  readonly uid: string | undefined;
  /** Istio is asked to inject into the pod, and replaces the image `auto`. */
  readonly isInjected: boolean;
  /** Labels and annotations contain the names in `relevantNames` only. */
  readonly labels: ReadonlyMap<string, string>;
  readonly templateLabels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  /** The innermost object on the path to the annotations that exists: JSON Patch adds one level at a time. */
  readonly annotationParent: 'object' | 'metadata' | 'annotations';
  readonly controller: { readonly group: string; readonly kind: string } | undefined;
  readonly places: readonly ImagePlace[];
  /** JSON pointer of the pod spec. */
  readonly podSpec: string;
  /** Empty if the pod uses `default`. */
  readonly serviceAccount: string;
  /** Names in `imagePullSecrets`; `undefined` if the field is absent or null. */
  readonly pullSecrets: readonly string[] | undefined;
}

/** The path of the pod template in each kind. */
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

const containers = list(
  object({ name: optionalText, image: optionalText, imagePullPolicy: optionalText }),
);

const volume = object({
  name: optionalText,
  image: v.nullish(object({ reference: optionalText, pullPolicy: optionalText })),
});

/** Istio's label, which is also accepted as an annotation, and the annotation of its gateways (istio.io "Gateway injection"). */
const injection = object({
  'sidecar.istio.io/inject': v.optional(v.unknown()),
  'inject.istio.io/templates': v.optional(v.unknown()),
});

const podSchema = object({
  metadata: v.nullish(object({ labels: stringMap, annotations: v.nullish(injection) })),
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
      uid: optionalText,
      labels: stringMap,
      annotations: stringMap,
      ownerReferences: list(
        object({
          apiVersion: text,
          kind: text,
          controller: v.nullish(v.boolean('is not a boolean')),
        }),
      ),
    }),
  ),
});

/** Plans stay in memory while registries do not answer, so all other labels and annotations are dropped. */
const relevantNames =
  /^(image-cloner(\/.*)?|kubernetes\.io\/config\.mirror|serving\.knative\.dev\/service)$/;

/** The length of a DNS label; the API server validates names only after admission. */
const maxNameLength = 63;

const containerLists = [
  ['containers', 'container'],
  ['initContainers', 'init container'],
  ['ephemeralContainers', 'ephemeral container'],
] as const;

/** Whether objects of this kind contain a pod. `pods/ephemeralcontainers` is the only subresource that names images. */
export function isWorkload({
  kind,
  subResource,
}: Pick<ReviewRequest, 'kind' | 'subResource'>): boolean {
  if (subResource !== '' && !isEphemeral({ kind, subResource })) return false;
  return podPaths.has(`${kind.group}/${kind.kind}`);
}

/** `kubectl debug` uses this subresource. The API server discards every other change in a patch of it. */
export function isEphemeral({
  kind,
  subResource,
}: Pick<ReviewRequest, 'kind' | 'subResource'>): boolean {
  return kind.group === '' && kind.kind === 'Pod' && subResource === 'ephemeralcontainers';
}

/** Where an object of a kind that `isWorkload` accepts has its pod template; empty for a Pod. */
export function podPathOf({ kind }: Pick<ReviewRequest, 'kind'>): readonly string[] {
  return podPaths.get(`${kind.group}/${kind.kind}`) ?? [];
}

/** Reads `request.object` or `request.oldObject`, whose kind `isWorkload` accepts. Throws `CloneError` `INVALID_REVIEW`. */
export function parseWorkload(request: ReviewRequest, field: 'object' | 'oldObject'): Workload {
  const root = `request.${field}`;
  const { metadata } = parse(metadataSchema, request[field], root);
  const path = podPathOf(request);
  const pod = parse(podSchema, descend(request[field], path), [root, ...path].join('.'));
  const owner = metadata?.ownerReferences?.find(({ controller }) => controller === true);
  const podSpec = ['', ...path, 'spec'].join('/');
  return {
    uid: metadata?.uid ?? undefined,
    isInjected: isInjected(pod.metadata?.labels) || isInjected(pod.metadata?.annotations),
    labels: toMap(metadata?.labels),
    templateLabels: toMap(pod.metadata?.labels),
    annotations: toMap(metadata?.annotations),
    annotationParent: isAbsent(metadata)
      ? 'object'
      : isAbsent(metadata.annotations)
        ? 'metadata'
        : 'annotations',
    controller: owner && { group: groupOf(owner.apiVersion), kind: owner.kind },
    places: findPlaces(pod.spec ?? {}, podSpec),
    podSpec,
    // `serviceAccount` is the deprecated name of the field.
    serviceAccount: pod.spec?.serviceAccountName || pod.spec?.serviceAccount || '',
    pullSecrets: pod.spec?.imagePullSecrets?.map(({ name }) => name),
  };
}

type PodSpec = NonNullable<v.InferOutput<typeof podSchema>['spec']>;

function findPlaces(spec: Partial<PodSpec>, podSpec: string): readonly ImagePlace[] {
  const inContainers = containerLists.flatMap(([list, label]) =>
    (spec[list] ?? []).map((item, index) => ({
      pointer: `${podSpec}/${list}/${index}/image`,
      ...identify(list, label, item.name, index),
      image: item.image,
      neverPulled: item.imagePullPolicy === 'Never',
    })),
  );
  const inVolumes = (spec.volumes ?? []).map(({ name, image }, index) => ({
    pointer: `${podSpec}/volumes/${index}/image/reference`,
    ...identify('volumes', 'volume', name, index),
    image: image?.reference ?? '',
    neverPulled: image?.pullPolicy === 'Never',
  }));
  // In a template the image may be absent, to be set by another webhook.
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

/** The value at `path`. A value on the way that is no object is returned, so that the schema rejects it. */
function descend(object: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((node, key) => {
    if (node === undefined || node === null) return {};
    if (typeof node !== 'object' || Array.isArray(node)) return node;
    return Object.hasOwn(node, key) ? (Reflect.get(node, key) ?? {}) : {};
  }, object);
}

function isInjected(names: Readonly<Record<string, unknown>> | null | undefined): boolean {
  return (
    names?.['sidecar.istio.io/inject'] === 'true' ||
    names?.['inject.istio.io/templates'] !== undefined
  );
}

function toMap(
  record: Readonly<Record<string, string>> | null | undefined,
): ReadonlyMap<string, string> {
  return new Map(Object.entries(record ?? {}).filter(([name]) => relevantNames.test(name)));
}

function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
}
