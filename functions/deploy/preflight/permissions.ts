import * as v from 'valibot';
import { type Document, parseAllDocuments } from 'yaml';
import { kubectl } from '../kubectl.ts';
import type { Manifests } from '../manifests/index.ts';
import type { DeploySettings } from '../settings.ts';
import { toProbeName } from '../smoke-test/index.ts';

/** The `resourceAttributes` of one SelfSubjectAccessReview. */
interface Permission {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  /** `undefined` for cluster-scoped resources. */
  readonly namespace: string | undefined;
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

/** Verbs of `kubectl apply` and of `just undeploy`. */
const allVerbs = ['get', 'create', 'patch', 'delete'];

/** Checks all permissions that `deploy` needs in one request. Resolves with one sentence per resource. */
export async function findMissingPermissions(
  { install }: DeploySettings,
  manifests: Manifests,
): Promise<readonly string[]> {
  const probe = toProbeName(install.name);
  const objects = Object.values(manifests)
    .flatMap((yaml: string) => parseAllDocuments(yaml))
    .flatMap((object) => toPermissions(object, install.namespace));
  const permissions = [
    ...objects,
    ...toVerbs('', 'secrets', install.namespace),
    ...toVerbs('', 'configmaps', install.namespace, ['get', 'create', 'patch']),
    ...toVerbs('admissionregistration.k8s.io', 'mutatingwebhookconfigurations'),
    ...toVerbs('', 'namespaces'),
    ...toVerbs('', 'pods', probe, ['get', 'create', 'delete']),
    ...toVerbs('', 'secrets', probe, ['create']),
    ...toVerbs('', 'podtemplates', 'default', ['create']),
  ];
  const { stdout } = await kubectl(
    ['create', '--filename=-', '--output=json'],
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: permissions.map((resourceAttributes) => ({
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes },
      })),
    }),
  );
  // kubectl prints the objects one after the other, without a separator.
  const denied = stdout
    .split(/^(?=\{)/m)
    .filter((text) => text.trim() !== '')
    .map((text) => v.parse(review, JSON.parse(text)))
    .filter(({ status }) => !status.allowed)
    .map(({ spec }) => spec.resourceAttributes);
  const byKind = Map.groupBy(denied, ({ group, resource, namespace = '' }) =>
    [[resource, group].filter(Boolean).join('.'), namespace].filter(Boolean).join(' in '),
  );
  return [...byKind].map(
    ([kind, list]) =>
      `no permission to ${[...new Set(list.map(({ verb }) => verb))].join(', ')} ${kind}: deploy as another user (kubectl auth whoami prints the current one)`,
  );
}

function toPermissions(object: Document, own: string): readonly Permission[] {
  const kind = String(object.get('kind'));
  // The namespace of the Secret registry-auth exists already.
  if (kind === 'Namespace') return [];
  const [group = ''] = String(object.get('apiVersion')).split('/').toReversed().slice(1);
  // As client-go's UnsafeGuessKindToResource does.
  const resource = `${kind.toLowerCase().replace(/y$/, 'ie')}s`;
  const namespace = object.getIn(['metadata', 'namespace']);
  return kind.startsWith('Cluster')
    ? toVerbs(group, resource)
    : toVerbs(group, resource, typeof namespace === 'string' ? namespace : own);
}

function toVerbs(
  group: string,
  resource: string,
  namespace?: string,
  verbs: readonly string[] = allVerbs,
): readonly Permission[] {
  return verbs.map((verb) => ({ verb, group, resource, namespace }));
}
