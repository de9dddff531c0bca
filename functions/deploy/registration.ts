import * as v from 'valibot';
import { parse } from 'yaml';
import { injectionAnnotation } from '../../lib/install/cert-manager.ts';
import type { InstallSettings } from '../../lib/install/settings.ts';
import { deleteObjects, find, findItems, findObject, mustKubectl } from './kubectl.ts';
import { toHost, toPodLabels } from './manifests/index.ts';
import {
  anyObject,
  serviceObject,
  type WebhookConfiguration,
  webhookConfiguration,
} from './objects.ts';

// The webhook configuration, and the objects through which the API server reaches the Knative Service.

type ServiceName = InstallSettings['service'];

/** Annotation of the webhook configuration: the version of the Knative Service that passed the smoke test. */
const testedAnnotation = 'image-cloner/proved';

/** Removed unless they are written: what `kubectl apply` has recorded, and what makes cert-manager write the CA. */
const removedAnnotations = {
  'kubectl.kubernetes.io/last-applied-configuration': null,
  [injectionAnnotation]: null,
};

const writtenConfiguration = v.looseObject({
  metadata: v.looseObject({ annotations: v.record(v.string(), v.string()) }),
});

/** An administrator can remove the webhook from its configuration in an emergency. */
const emptyConfiguration = v.object({ webhooks: v.optional(v.strictTuple([]), []) });

const domainMapping = v.object({
  metadata: v.object({ name: v.string() }),
  spec: v.object({ ref: v.object({ name: v.string() }) }),
});

/** The webhook configuration, or `undefined` if it does not exist or has no webhook. */
export async function findRegistered(name: string): Promise<WebhookConfiguration | undefined> {
  const object = await find('mutatingwebhookconfiguration', name);
  return object === undefined || v.is(emptyConfiguration, object)
    ? undefined
    : v.parse(webhookConfiguration, object);
}

/**
 * If the registered CA differs from the new one, makes the API server trust both, so that it rejects no review while the
 * certificate changes. `register` leaves only the new CA.
 */
export async function trustBoth(webhook: string, { name }: InstallSettings): Promise<string> {
  const registered = await findRegistered(name);
  if (registered === undefined) return 'not registered yet';
  const old = registered.webhooks[0].clientConfig;
  const next = v.parse(webhookConfiguration, parse(webhook)).webhooks[0].clientConfig;
  const [from, to] = [old.service, next.service];
  const moves =
    from === undefined || to === undefined || toHost(from) === toHost(to)
      ? []
      : [
          `The API server will call ${toHost(to)} instead of ${toHost(from)}: until the last step it may reject writes in opted-in namespaces.`,
        ];
  if (old.caBundle === next.caBundle) return [...moves, 'unchanged'].join('\n');
  const both = btoa(`${atob(old.caBundle)}\n${atob(next.caBundle)}`);
  // The tests notice a renewal that ran in between.
  const patch = JSON.stringify(
    registered.webhooks.flatMap(({ clientConfig: { caBundle } }, index) => {
      const path = `/webhooks/${index}/clientConfig/caBundle`;
      const test = caBundle === '' ? [] : [{ op: 'test', path, value: caBundle }];
      return [...test, { op: 'add', path, value: both }];
    }),
  );
  const target = ['mutatingwebhookconfiguration', name];
  const output = await mustKubectl(['patch', ...target, '--type=json', `--patch=${patch}`]);
  return [...moves, output].join('\n');
}

/** Registers the webhook, and removes the route that it replaces if `deploy` made that. */
export async function register(
  webhook: string,
  testedVersion: string,
  install: InstallSettings,
): Promise<string> {
  const registered = await findRegistered(install.name);
  const previous = registered?.webhooks[0].clientConfig.service;
  const output = await write(webhook, testedVersion, install);
  if (previous === undefined || toHost(previous) === toHost(install.service)) return output;
  // The Service of the Go original stays.
  if (!(await isRouteTo(previous, install))) return output;
  return [output, ...(await removeRoute(previous, install.namespace))].join('\n');
}

/**
 * Creates the webhook configuration, or replaces its fields; annotations of others stay. Not `kubectl apply`: a later one would remove
 * the CA, which is in no file. Not server-side apply: of a webhook whose name changes it would leave the CA that another manager wrote.
 * Resolves in the words of `kubectl apply`.
 */
async function write(
  webhook: string,
  testedVersion: string,
  { name }: InstallSettings,
): Promise<string> {
  const { metadata, ...fields } = v.parse(writtenConfiguration, parse(webhook));
  const annotations = { ...metadata.annotations, [testedAnnotation]: testedVersion };
  const kind = 'mutatingwebhookconfiguration';
  const before = await findObject(anyObject, kind, name);
  if (before === undefined) {
    const object = JSON.stringify({ ...fields, metadata: { ...metadata, annotations } });
    return await mustKubectl(['create', '--filename=-'], object);
  }
  const patch = JSON.stringify({
    ...fields,
    metadata: { annotations: { ...removedAnnotations, ...annotations } },
  });
  await mustKubectl(['patch', kind, name, '--type=merge', `--patch=${patch}`]);
  const after = await findObject(anyObject, kind, name);
  const isSame = before.metadata.resourceVersion === after?.metadata.resourceVersion;
  return `${kind}/${name} ${isSame ? 'unchanged' : 'configured'}`;
}

/** The version of the Knative Service that passed the smoke test before the present registration. */
export async function readTestedVersion(name: string): Promise<string | undefined> {
  return (await findRegistered(name))?.metadata.annotations[testedAnnotation];
}

/** Removes the objects through which the API server reaches the Knative Service. Resolves with kubectl's output. */
export async function removeRoute(
  service: ServiceName,
  namespace: string,
): Promise<readonly string[]> {
  const host = toHost(service);
  const own = `--namespace=${namespace}`;
  const outputs = [
    await deleteObjects('domainmapping', host, own),
    await deleteObjects('clusterdomainclaim', host),
    await deleteObjects('service', service.name, `--namespace=${service.namespace}`),
    // Only a Service in front of the pods has its own policy.
    ...(service.namespace === namespace
      ? [await deleteObjects('networkpolicy', service.name, own)]
      : []),
  ];
  return outputs.map((output) => output.trim()).filter((output) => output !== '');
}

/** The route of the settings and every other one to the Knative Service: DomainMappings, and Services of its pods. */
export async function findRoutes({
  name,
  namespace,
  service,
}: InstallSettings): Promise<readonly ServiceName[]> {
  const own = `--namespace=${namespace}`;
  const [mappings, services] = await Promise.all([
    findItems(domainMapping, 'domainmappings', own),
    findItems(serviceObject, 'services', own),
  ]);
  const mapped = mappings
    .filter(({ spec }) => spec.ref.name === name)
    .flatMap(({ metadata }) => parseHost(metadata.name));
  // Knative's own Services have owners, and Knative would recreate them.
  const direct = services
    .filter(({ metadata }) => metadata.ownerReferences.length === 0)
    .filter(({ spec }) => selectsPods(spec.selector, name))
    .map(({ metadata }) => ({ name: metadata.name, namespace }));
  const routes = [service, ...mapped, ...direct];
  return [...new Map(routes.map((route) => [toHost(route), route])).values()];
}

async function isRouteTo(
  service: ServiceName,
  { name, namespace }: InstallSettings,
): Promise<boolean> {
  const own = `--namespace=${namespace}`;
  if ((await find('domainmapping', toHost(service), own)) !== undefined) return true;
  if (service.namespace !== namespace) return false;
  const object = await findObject(serviceObject, 'service', service.name, own);
  return object !== undefined && selectsPods(object.spec.selector, name);
}

/** Whether a Service selects the pods of an installation, whatever `SERVING` was when it was made. */
function selectsPods(selector: Readonly<Record<string, string>>, name: string): boolean {
  return (['knative', 'deployment'] as const).some((serving) =>
    Object.entries(toPodLabels({ serving, name })).every(([key, value]) => selector[key] === value),
  );
}

/** Ignores hosts such as `cloner.example.com`: their DomainMapping is not image-cloner's. */
function parseHost(host: string): readonly ServiceName[] {
  const [, name, namespace] = /^([^.]+)\.([^.]+)\.svc$/.exec(host) ?? [];
  return name === undefined || namespace === undefined ? [] : [{ name, namespace }];
}
