import type { InstallSettings } from '../../../lib/install/settings.ts';
import { findItems, findObject } from '../kubectl.ts';
import { anyObject, otherConfiguration } from '../objects.ts';
import { toProbeName } from '../smoke-test/index.ts';

export async function findOwnOptIn({
  namespace,
  labelValue,
}: InstallSettings): Promise<string | undefined> {
  const object = await findObject(anyObject, 'namespace', namespace);
  return object?.metadata.labels['image-cloner'] === labelValue
    ? `the namespace ${namespace} has the label image-cloner=${labelValue}, so the webhook would need itself to start: kubectl label namespace ${namespace} image-cloner-`
    : undefined;
}

/** Knative's Route creates a Service of the same name, and fails if another owner has one. */
export async function findOtherService({
  name,
  namespace,
}: InstallSettings): Promise<string | undefined> {
  const object = await findObject(anyObject, 'service', name, `--namespace=${namespace}`);
  return object?.metadata.ownerReferences.length === 0
    ? `the Service ${name} in ${namespace} exists, but Knative creates one of that name: set NAME or NAMESPACE, or remove it (kubectl -n ${namespace} delete service ${name}) and every webhook configuration that calls it`
    : undefined;
}

/** The Go original of 2021 is a Deployment of the same name without an owner. */
export async function findGoOriginals({ name }: InstallSettings): Promise<readonly string[]> {
  const selector = `--field-selector=metadata.name=${name}`;
  const deployments = await findItems(anyObject, 'deployments', '--all-namespaces', selector);
  return deployments
    .filter(({ metadata }) => metadata.ownerReferences.length === 0)
    .filter(({ metadata }) => metadata.labels['app.kubernetes.io/name'] !== 'image-cloner')
    .map(
      ({ metadata: { namespace } }) =>
        `the Go version of image-cloner runs in ${namespace}. Its namespace label, its Secret registry-auth and the names of most copies keep working; copies of images with a path (bitnami/nginx) get new names, and ADOPT_EXISTING=true takes over its copies. After this deploy: kubectl -n ${namespace} delete deployment,service ${name}`,
    );
}

/** Two webhooks that act on the same objects make copies of copies, and the true original is lost. */
export async function findOtherWebhooks({
  name,
  labelValue,
}: InstallSettings): Promise<readonly string[]> {
  const configurations = await findItems(otherConfiguration, 'mutatingwebhookconfigurations');
  return configurations
    .filter(({ metadata }) => metadata.name !== name && metadata.name !== toProbeName(name))
    .filter(({ webhooks }) =>
      webhooks.some(
        ({ namespaceSelector }) => namespaceSelector.matchLabels?.['image-cloner'] === labelValue,
      ),
    )
    .map(
      ({ metadata }) =>
        `the webhook configuration ${metadata.name} also reviews namespaces with the label image-cloner=${labelValue}: set LABEL_VALUE to another value, or remove the other one (kubectl delete mutatingwebhookconfiguration ${metadata.name})`,
    );
}
