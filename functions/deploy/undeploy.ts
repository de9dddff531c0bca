import * as v from 'valibot';
import type { InstallSettings } from '../../lib/install/settings.ts';
import { find, isUnknownKind, kubectl } from './kubectl.ts';
import { toHost } from './manifests/manifests.ts';
import { mappingList, selectingServiceList } from './manifests/objects.ts';
import { toProbeName } from './probe.ts';

type Called = InstallSettings['service'];

/**
 * Takes out what `deploy` put in, the webhook configuration first: from then on nobody waits for the rest. Whatever the wiring is said to
 * be now, the ways that lead to the Knative Service are found and removed.
 */
export async function undeploy(
  install: InstallSettings,
  print: (line: string) => void,
): Promise<boolean> {
  const { name, namespace } = install;
  const own = `--namespace=${namespace}`;
  const remove = async (...args: readonly string[]): Promise<void> => {
    const said = (await removeObjects(...args)).trim();
    if (said !== '') print(said);
  };
  await remove('mutatingwebhookconfiguration', name, toProbeName(name));
  for (const service of await findWays(install)) {
    for (const said of await removeWay(service, namespace)) print(said);
  }
  await remove('ksvc', name, own);
  await remove('networkpolicy', name, own);
  await remove('rolebinding,role', 'image-cloner-leases', own);
  await remove('secret', `${name}-tls`, own);
  await remove('serviceaccount', 'image-cloner', own);
  await remove('namespace', toProbeName(name));

  if ((await find('namespace', namespace)) !== undefined) {
    print(`The namespace ${namespace} and its Secret registry-auth are yours and stay.`);
  }
  print(
    'Workloads keep the images of the backup; image-cloner/original-images says what they were.',
  );
  return true;
}

/** Takes out what the API server reaches the Knative Service by. Resolves with what kubectl says. */
export async function removeWay(service: Called, namespace: string): Promise<readonly string[]> {
  const host = toHost(service);
  const own = `--namespace=${namespace}`;
  const said = [
    await removeObjects('domainmapping', host, own),
    await removeObjects('clusterdomainclaim', host),
    await removeObjects('service', service.name, `--namespace=${service.namespace}`),
    // Only where the Service is in front of the pods has it a policy of its own.
    ...(service.namespace === namespace
      ? [await removeObjects('networkpolicy', service.name, own)]
      : []),
  ];
  return said.map((line) => line.trim()).filter((line) => line !== '');
}

/** Those of the settings and all others that lead to the Knative Service: DomainMappings, and Services of its pods. */
async function findWays({ name, namespace, service }: InstallSettings): Promise<readonly Called[]> {
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
    .parse(selectingServiceList, services)
    .items.filter(({ spec, metadata }) => isBesideOurPods(spec.selector, metadata, name))
    .map(({ metadata }) => metadata.name);
  const found = [
    service,
    ...hosts.flatMap(parseHost),
    ...direct.map((name) => ({ name, namespace })),
  ];
  return [...new Map(found.map((each) => [toHost(each), each])).values()];
}

/** Knative's own have owners, and it would make them again. */
function isBesideOurPods(
  selector: Readonly<Record<string, string>>,
  metadata: { readonly ownerReferences: readonly unknown[] },
  name: string,
): boolean {
  return metadata.ownerReferences.length === 0 && selector['serving.knative.dev/service'] === name;
}

/** A DomainMapping that somebody else made for us, `cloner.example.com`, is theirs. */
function parseHost(host: string): readonly Called[] {
  const [, name, namespace] = /^([^.]+)\.([^.]+)\.svc$/.exec(host) ?? [];
  return name === undefined || namespace === undefined ? [] : [{ name, namespace }];
}

async function removeObjects(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await kubectl(['delete', '--ignore-not-found', ...args]);
  // Knative has been taken out before us.
  if (code === 0 || isUnknownKind(stderr)) return stdout;
  throw new Error(stderr);
}
