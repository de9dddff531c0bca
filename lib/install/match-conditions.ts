import { backfillAnnotation } from '../admission/decide-image.ts';
import type { BackupLocation } from '../image/backup-name.ts';
import { dockerHub, isDomainLike } from '../image/reference.ts';

/** `matchConditions[]` of a webhook configuration. */
export interface MatchCondition {
  readonly name: string;
  readonly expression: string;
}

/** The place that holds the copies: `registry.corp:5000` and `team/acme`. */
type Backup = Pick<BackupLocation, 'domain' | 'namespace'>;

/**
 * Returns the CEL conditions that must all be true before the API server sends a review (Kubernetes 1.30 and later).
 * No expression relies on a field: an error refuses the write (`failurePolicy: Fail`), and objects are not validated yet.
 */
export function toMatchConditions(backup: Backup | undefined): readonly MatchCondition[] {
  const changed = { name: 'images-may-have-changed', expression: toChangedExpression() };
  const optedOut = { name: 'not-opted-out', expression: notOptedOut };
  if (backup === undefined) return [changed, optedOut];
  return [
    changed,
    optedOut,
    { name: 'image-outside-backup', expression: toOutsideExpression(backup) },
  ];
}

/** The labels of an object and of its pods. */
const labels = [
  'object.?metadata.?labels',
  'object.?spec.?template.?metadata.?labels',
  'object.?spec.?jobTemplate.?spec.?template.?metadata.?labels',
  'object.?template.?metadata.?labels',
];

/**
 * The new object decides: `objectSelector` also matches the old one, so that the write that opts an object out would wait for the
 * webhook, and `restore` would not work while it is down.
 */
const notOptedOut = `[${labels.map((each) => `${each}[?'image-cloner']`).join(', ')}].all(label, label != optional.of('disabled'))`;

/** Each kind has one of these fields; fields that are missing on both sides compare as equal. */
function toChangedExpression(): string {
  const fields = [
    '.?spec.?template',
    '.?spec.?jobTemplate',
    '.?template',
    `.?metadata.?annotations[?'${backfillAnnotation}']`,
  ];
  return [
    `request.operation != 'UPDATE'`,
    `request.kind.kind == 'Pod' && object.?spec != oldObject.?spec`,
    ...fields.map((field) => `object${field} != oldObject${field}`),
  ].join(' ||\n');
}

/** Pod specs of a Pod, of kinds with a template, of a CronJob and of a PodTemplate: the list holds those that the object has. */
const pods = [
  '?object.?spec',
  '?object.?spec.?template.?spec',
  '?object.?spec.?jobTemplate.?spec.?template.?spec',
  '?object.?template.?spec',
];

const lists = ['containers', 'initContainers', 'ephemeralContainers'];
const containers = lists.map((list) => `?pod.?${list}`);
const oldContainers = `[${lists.map((list) => `?old.?${list}`).join(', ')}]`;

function toOutsideExpression(backup: Backup): string {
  const isOutside = [
    `type(image) == string`,
    `image != ''`,
    ...toPrefixes(backup).map((prefix) => `!image.startsWith('${prefix}')`),
  ].join(' && ');
  return `[${pods.join(', ')}].exists(pod,
  ${anyImage(containers, '?item.?image', isOutside)} ||
  ${anyImage(['?pod.?volumes'], '?item.?image.?reference', isOutside)})`;
}

function anyImage(lists: readonly string[], image: string, predicate: string): string {
  return `[${lists.join(', ')}].exists(items, type(items) == list && items.exists(item,
    [${image}].exists(image, ${predicate})))`;
}

/**
 * Returns the conditions of the updates that change the name of a copy in one container to another one, as `kubectl set image` and `rollout undo` do. The
 * webhook that reviews them has the failure policy `Ignore`, so they pass while it is down.
 */
export function toEditConditions(backup: Backup): readonly MatchCondition[] {
  const isInside = (image: string): string =>
    `type(${image}) == string && (${toPrefixes(backup)
      .map((prefix) => `${image}.startsWith('${prefix}')`)
      .join(' || ')})`;
  const oldPods = pods.map((pod) => pod.replace('?object', '?oldObject')).join(', ');
  const hadAnother = `[${oldPods}].exists(old, ${oldContainers}.exists(others, type(others) == list && others.exists(other,
      other.?name == item.?name && [?other.?image].exists(before, ${isInside('before')} && before != image))))`;
  const isEdited = `${isInside('image')} &&
      ${hadAnother}`;
  return [
    { name: 'not-opted-out', expression: notOptedOut },
    {
      name: 'copy-edited',
      expression: `[${pods.join(', ')}].exists(pod,
  ${anyImage(containers, '?item.?image', isEdited)})`,
    },
  ];
}

/** Every prefix that image names of the backup can have. A prefix that is missing here costs a review, no more. */
function toPrefixes({ domain, namespace }: Backup): readonly string[] {
  if (domain !== dockerHub) return [`${domain}/${namespace}/`];
  const full = [`${dockerHub}/${namespace}/`, `index.docker.io/${namespace}/`];
  const [head = ''] = namespace.split('/');
  // `localhost/x` is read as a registry named localhost.
  return isDomainLike(head) ? full : [`${namespace}/`, ...full];
}
