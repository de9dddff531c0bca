import * as v from 'valibot';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { find } from '../kubectl.ts';

const deploymentList = v.object({
  items: v.array(
    v.object({
      metadata: v.object({
        namespace: v.string(),
        ownerReferences: v.optional(v.array(v.object({ kind: v.string() })), []),
      }),
    }),
  ),
});
const configurationList = v.object({
  items: v.array(
    v.object({
      metadata: v.object({ name: v.string() }),
      webhooks: v.optional(
        v.array(
          v.object({
            clientConfig: v.object({
              service: v.optional(
                v.object({
                  name: v.string(),
                  namespace: v.string(),
                  path: v.optional(v.string(), ''),
                }),
              ),
            }),
          }),
        ),
        [],
      ),
    }),
  ),
});

const labelledObject = v.object({
  metadata: v.object({
    labels: v.optional(v.record(v.string(), v.string()), {}),
    ownerReferences: v.optional(v.array(v.object({ kind: v.string() })), []),
  }),
});

/** Finds objects in the cluster that would break this installation. */
export async function findConflicts(install: InstallSettings): Promise<readonly string[]> {
  const conflicts = await Promise.all([findOwnOptIn(install), findOtherService(install)]);
  return conflicts.flat();
}

/** Finds other image-cloners, such as the Go original of 2021, and how to remove them. */
export async function findOtherInstallations(install: InstallSettings): Promise<readonly string[]> {
  const others = await Promise.all([findGoOriginals(install), findOtherWebhooks(install)]);
  return others.flat();
}

async function findOwnOptIn({ namespace }: InstallSettings): Promise<readonly string[]> {
  const object = await find('namespace', namespace);
  const { labels } = v.parse(labelledObject, object ?? { metadata: {} }).metadata;
  return labels['image-cloner'] === 'enabled'
    ? [
        `the namespace ${namespace} has the label image-cloner=enabled, so the webhook would need itself to start: kubectl label namespace ${namespace} image-cloner-`,
      ]
    : [];
}

/** Knative's Route creates a Service of the same name, and fails if another owner has one. */
async function findOtherService({ name, namespace }: InstallSettings): Promise<readonly string[]> {
  const object = await find('service', name, `--namespace=${namespace}`);
  if (object === undefined) return [];
  const { ownerReferences } = v.parse(labelledObject, object).metadata;
  return ownerReferences.length > 0
    ? []
    : [
        `the Service ${name} in ${namespace} exists, but Knative creates one of that name: set NAME or NAMESPACE, or remove it (kubectl -n ${namespace} delete service ${name}) and every webhook configuration that calls it`,
      ];
}

/** The Go original is a Deployment of the same name without an owner. */
async function findGoOriginals({ name }: InstallSettings): Promise<readonly string[]> {
  const list = await find(
    'deployments',
    '--all-namespaces',
    `--field-selector=metadata.name=${name}`,
  );
  return v
    .parse(deploymentList, list)
    .items.filter(({ metadata }) => metadata.ownerReferences.length === 0)
    .map(
      ({ metadata: { namespace } }) =>
        `the Go version of image-cloner runs in ${namespace}. Its namespace label, its Secret registry-auth and the names of most copies keep working; copies of images with a path (bitnami/nginx) get new names, and ADOPT_EXISTING=true takes over its copies. After this deploy: kubectl -n ${namespace} delete deployment,service ${name}`,
    );
}

/** Both webhooks would rewrite the same workloads. */
async function findOtherWebhooks({ name, service }: InstallSettings): Promise<readonly string[]> {
  const list = await find('mutatingwebhookconfigurations');
  return v
    .parse(configurationList, list)
    .items.filter(({ metadata }) => metadata.name !== name && metadata.name !== `${name}-probe`)
    .filter(({ webhooks }) =>
      webhooks.some(
        ({ clientConfig: { service: called } }) =>
          called?.path === '/clone-image' &&
          (called.name !== service.name || called.namespace !== service.namespace),
      ),
    )
    .map(
      ({ metadata }) =>
        `the webhook configuration ${metadata.name} calls another image-cloner, which would rewrite the same workloads. After this deploy: kubectl delete mutatingwebhookconfiguration ${metadata.name}`,
    );
}
