import * as v from 'valibot';
import { type Document, parseAllDocuments } from 'yaml';
import { kubectl } from '../kubectl.ts';
import type { Manifests } from '../manifests/manifests.ts';
import { toProbeName } from '../probe.ts';
import type { DeploySettings } from '../settings.ts';

/** What the person who deploys does to one kind of object. */
interface Need {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  /** Absent for what belongs to the cluster. */
  readonly namespace?: string;
}

const review = v.object({
  spec: v.object({
    resourceAttributes: v.object({
      verb: v.string(),
      group: v.optional(v.string(), ''),
      resource: v.string(),
      namespace: v.optional(v.string()),
    }),
  }),
  status: v.object({ allowed: v.boolean() }),
});

/** `apply` reads, creates and patches; what is taken out again is deleted. */
const verbs = ['get', 'create', 'patch', 'delete'];

const resources: ReadonlyMap<string, string> = new Map([
  ['Namespace', 'namespaces'],
  ['ServiceAccount', 'serviceaccounts'],
  ['Secret', 'secrets'],
  ['Service', 'services'],
  ['Role', 'roles'],
  ['RoleBinding', 'rolebindings'],
  ['NetworkPolicy', 'networkpolicies'],
  ['DomainMapping', 'domainmappings'],
  ['ClusterDomainClaim', 'clusterdomainclaims'],
]);

/** Asks the API server, in one go, whether we may do all that `deploy` does. One sentence for each kind of object. */
export async function findMissingRights(
  { install }: DeploySettings,
  manifests: Manifests,
): Promise<readonly string[]> {
  const probe = toProbeName(install.name);
  const objects = Object.values(manifests)
    .flatMap((yaml: string) => parseAllDocuments(yaml))
    .flatMap((object) => toNeeds(object, install.namespace));
  const needs = [
    ...objects,
    ...toVerbs('', 'secrets', install.namespace),
    ...toVerbs('admissionregistration.k8s.io', 'mutatingwebhookconfigurations'),
    ...toVerbs('', 'namespaces'),
    ...['get', 'create', 'delete'].map((verb) => toNeed(verb, '', 'pods', probe)),
    toNeed('create', '', 'secrets', probe),
    toNeed('create', '', 'podtemplates', 'default'),
  ];
  const { stdout } = await kubectl(
    ['create', '--filename=-', '--output=json'],
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items: needs.map(toReview) }),
  );
  const refused = parseAnswers(stdout)
    .filter(({ status }) => !status.allowed)
    .map(({ spec }) => spec.resourceAttributes);
  const byKind = Map.groupBy(refused, ({ group, resource, namespace = '' }) =>
    [[resource, group].filter(Boolean).join('.'), namespace].filter(Boolean).join(' in '),
  );
  return [...byKind].map(
    ([kind, list]) =>
      `you may not ${[...new Set(list.map(({ verb }) => verb))].join(', ')} ${kind}: deploy as somebody who may (kubectl auth whoami says who you are)`,
  );
}

function toNeeds(object: Document, own: string): readonly Need[] {
  const kind = String(object.get('kind'));
  const [group = ''] = String(object.get('apiVersion')).split('/').toReversed().slice(1);
  const resource = resources.get(kind);
  // Somebody has made the namespace already, for the Secret that is in it.
  if (resource === undefined || kind === 'Namespace') return [];
  const namespace = object.getIn(['metadata', 'namespace']);
  return kind === 'ClusterDomainClaim'
    ? toVerbs(group, resource)
    : toVerbs(group, resource, typeof namespace === 'string' ? namespace : own);
}

function toVerbs(group: string, resource: string, namespace?: string): readonly Need[] {
  return verbs.map((verb) => toNeed(verb, group, resource, namespace));
}

function toNeed(verb: string, group: string, resource: string, namespace?: string): Need {
  return { verb, group, resource, ...(namespace !== undefined && { namespace }) };
}

function toReview(resourceAttributes: Need): object {
  return {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes },
  };
}

/** kubectl writes one object after the other, without anything between them. */
function parseAnswers(stdout: string): readonly v.InferOutput<typeof review>[] {
  const texts = stdout.split(/^(?=\{)/m).filter((text) => text.trim() !== '');
  return texts.map((text) => v.parse(review, JSON.parse(text)));
}
