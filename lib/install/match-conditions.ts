import { backfillAnnotation } from '../admission/decide-image.ts';
import { dockerHub, isDomainLike } from '../image/reference.ts';

/** `matchConditions[]` of a webhook configuration. */
export interface MatchCondition {
  readonly name: string;
  readonly expression: string;
}

/** The place that holds the copies: `registry.corp:5000` + `team/acme`. */
export interface BackupPlace {
  readonly domain: string;
  readonly namespace: string;
}

/**
 * What the API server asks itself (CEL) before it calls us: a review is sent only where all of it is true. An error in an expression
 * refuses the write (`failurePolicy: Fail`), and mutating webhooks see objects before they are validated, so that nothing here
 * relies on a field to be there or to be set. For Kubernetes 1.30 and later.
 */
export function toMatchConditions(backup: BackupPlace | undefined): readonly MatchCondition[] {
  const changed = { name: 'images-may-have-changed', expression: toChanged() };
  if (backup === undefined) return [changed];
  return [changed, { name: 'image-outside-backup', expression: toOutside(backup) }];
}

/** Equal where both are missing: every kind has only one of them. */
function toChanged(): string {
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

/** Pod, then everything with a template, CronJob and PodTemplate: a list of those that the object has. */
const pods = [
  '?object.?spec',
  '?object.?spec.?template.?spec',
  '?object.?spec.?jobTemplate.?spec.?template.?spec',
  '?object.?template.?spec',
];

const containers = ['?pod.?containers', '?pod.?initContainers', '?pod.?ephemeralContainers'];

function toOutside(backup: BackupPlace): string {
  const isOutside = [
    `type(image) == string`,
    `image != ''`,
    ...toPrefixes(backup).map((prefix) => `!image.startsWith('${prefix}')`),
  ].join(' && ');
  const find = (lists: readonly string[], image: string): string =>
    `[${lists.join(', ')}].exists(items, type(items) == list && items.exists(item,
    [${image}].exists(image, ${isOutside})))`;
  return `[${pods.join(', ')}].exists(pod,
  ${find(containers, '?item.?image')} ||
  ${find(['?pod.?volumes'], '?item.?image.?reference')})`;
}

/** Every spelling of the backup's names that is read as that place; another one only costs a call. */
function toPrefixes({ domain, namespace }: BackupPlace): readonly string[] {
  if (domain !== dockerHub) return [`${domain}/${namespace}/`];
  const full = [`${dockerHub}/${namespace}/`, `index.docker.io/${namespace}/`];
  const [head = ''] = namespace.split('/');
  // `localhost/x` is not Docker Hub's.
  return isDomainLike(head) ? full : [`${namespace}/`, ...full];
}
