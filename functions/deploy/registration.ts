import * as v from 'valibot';
import { parse } from 'yaml';
import type { InstallSettings } from '../../lib/install/settings.ts';
import { parseYaml } from '../../lib/install/yaml.ts';
import { apply, find, mustKubectl } from './kubectl.ts';
import { toHost } from './manifests/manifests.ts';
import { emptyConfiguration, selectingService, webhookConfiguration } from './manifests/objects.ts';
import type { Readiness } from './ready.ts';
import { removeWay } from './undeploy.ts';

type Called = InstallSettings['service'];

/** On the webhook configuration: the Knative Service, as it was when a pod was started from one of its copies. */
const provedAnnotation = 'image-cloner/proved';

/** The webhook configuration, where it calls anybody. */
export async function findRegistered(name: string): Promise<unknown> {
  const found = await find('mutatingwebhookconfiguration', name);
  return v.is(emptyConfiguration, found) ? undefined : found;
}

/**
 * Where the webhook is registered with the CA of another `just gen`, both are trusted from now on: the certificate changes somewhere
 * between here and the end, and no review is refused meanwhile. `register` leaves the new one.
 */
export async function trustBoth(webhook: string, { name }: InstallSettings): Promise<string> {
  const found = await findRegistered(name);
  if (found === undefined) return 'not registered yet';
  const [old, wanted] = [readClient(found), readClient(parse(webhook))];
  const [from, to] = [old.service, wanted.service];
  const moves =
    from === undefined || to === undefined || toHost(from) === toHost(to)
      ? []
      : [
          `The API server will call ${toHost(to)} instead of ${toHost(from)}: until the last step it may refuse writes in namespaces that are labelled for it.`,
        ];
  if (old.caBundle === wanted.caBundle) return [...moves, 'unchanged'].join('\n');
  const both = btoa(`${atob(old.caBundle)}\n${atob(wanted.caBundle)}`);
  const path = '/webhooks/0/clientConfig/caBundle';
  const patch = JSON.stringify([{ op: 'add', path, value: both }]);
  const target = ['mutatingwebhookconfiguration', name];
  const said = await mustKubectl(['patch', ...target, '--type=json', `--patch=${patch}`]);
  return [...moves, said].join('\n');
}

/** Makes the API server call us. What it called until now is taken out where it was ours. */
export async function register(
  webhook: string,
  proof: string,
  install: InstallSettings,
): Promise<string> {
  const found = await findRegistered(install.name);
  const before = found === undefined ? undefined : readClient(found).service;
  const [configuration] = parseYaml(webhook);
  configuration?.setIn(['metadata', 'annotations', provedAnnotation], proof);
  const said = await apply(String(configuration));
  if (before === undefined || toHost(before) === toHost(install.service)) return said;
  // The Go original's is not ours to remove.
  if (!(await leadsToUs(before, install))) return said;
  return [said, ...(await removeWay(before, install.namespace))].join('\n');
}

/** The proof that the present registration was made with. */
export async function readProof(name: string): Promise<string | undefined> {
  const found = await findRegistered(name);
  if (found === undefined) return undefined;
  return v.parse(webhookConfiguration, found).metadata.annotations[provedAnnotation];
}

/** Another image, registry or pull secret is another generation of the Knative Service. */
export function toProof({ uid, generation }: Readiness): string {
  return `${uid}/${generation}`;
}

async function leadsToUs(service: Called, { name, namespace }: InstallSettings): Promise<boolean> {
  const own = `--namespace=${namespace}`;
  if ((await find('domainmapping', toHost(service), own)) !== undefined) return true;
  const found = await find('service', service.name, `--namespace=${service.namespace}`);
  if (found === undefined || service.namespace !== namespace) return false;
  return v.parse(selectingService, found).spec.selector['serving.knative.dev/service'] === name;
}

function readClient(object: unknown): {
  readonly caBundle: string;
  readonly service?: Called | undefined;
} {
  return v.parse(webhookConfiguration, object).webhooks[0].clientConfig;
}
