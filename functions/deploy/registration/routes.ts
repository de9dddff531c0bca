import * as v from 'valibot';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { deleteObjects, find } from '../kubectl.ts';
import { selectingService, toHost } from '../manifests/index.ts';

type ServiceName = InstallSettings['service'];

const mappingList = v.object({
  items: v.array(
    v.object({
      metadata: v.object({ name: v.string() }),
      spec: v.object({ ref: v.object({ name: v.string() }) }),
    }),
  ),
});
const serviceList = v.object({ items: v.array(selectingService) });

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
    find('domainmappings', own),
    find('services', own),
  ]);
  const hosts = v
    .parse(mappingList, mappings ?? { items: [] })
    .items.filter(({ spec }) => spec.ref.name === name)
    .map(({ metadata }) => metadata.name);
  const direct = v
    .parse(serviceList, services)
    .items.filter(({ spec: { selector }, metadata: { ownerReferences } }) => {
      // Knative's own Services have owners, and Knative would recreate them.
      return ownerReferences.length === 0 && selector['serving.knative.dev/service'] === name;
    })
    .map(({ metadata }) => metadata.name);
  const routes = [
    service,
    ...hosts.flatMap(parseHost),
    ...direct.map((name) => ({ name, namespace })),
  ];
  return [...new Map(routes.map((route) => [toHost(route), route])).values()];
}

/** Ignores hosts such as `cloner.example.com`: their DomainMapping is not image-cloner's. */
function parseHost(host: string): readonly ServiceName[] {
  const [, name, namespace] = /^([^.]+)\.([^.]+)\.svc$/.exec(host) ?? [];
  return name === undefined || namespace === undefined ? [] : [{ name, namespace }];
}
