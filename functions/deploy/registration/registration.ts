import * as v from 'valibot';
import { parse } from 'yaml';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { parseYaml } from '../../../lib/install/yaml.ts';
import { apply, find, mustKubectl } from '../kubectl.ts';
import { selectingService, toHost, webhookConfiguration } from '../manifests/index.ts';
import { removeRoute } from './routes.ts';

type ServiceName = InstallSettings['service'];

/** Annotation of the webhook configuration: the version of the Knative Service that passed the smoke test. */
const testedAnnotation = 'image-cloner/proved';

/** An administrator can remove the webhook from its configuration in an emergency. */
const emptyConfiguration = v.object({ webhooks: v.optional(v.strictTuple([]), []) });

/** The webhook configuration, or `undefined` if it does not exist or has no webhook. */
export async function findRegistered(name: string): Promise<unknown> {
  const object = await find('mutatingwebhookconfiguration', name);
  return v.is(emptyConfiguration, object) ? undefined : object;
}

/**
 * If the registered CA differs from the new one, makes the API server trust both, so that it rejects no review while the
 * certificate changes. `register` leaves only the new CA.
 */
export async function trustBoth(webhook: string, { name }: InstallSettings): Promise<string> {
  const registered = await findRegistered(name);
  if (registered === undefined) return 'not registered yet';
  const [old, next] = [readClient(registered), readClient(parse(webhook))];
  const [from, to] = [old.service, next.service];
  const moves =
    from === undefined || to === undefined || toHost(from) === toHost(to)
      ? []
      : [
          `The API server will call ${toHost(to)} instead of ${toHost(from)}: until the last step it may reject writes in opted-in namespaces.`,
        ];
  if (old.caBundle === next.caBundle) return [...moves, 'unchanged'].join('\n');
  const both = btoa(`${atob(old.caBundle)}\n${atob(next.caBundle)}`);
  const path = '/webhooks/0/clientConfig/caBundle';
  const patch = JSON.stringify([{ op: 'add', path, value: both }]);
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
  const previous = registered === undefined ? undefined : readClient(registered).service;
  const [configuration] = parseYaml(webhook);
  configuration?.setIn(['metadata', 'annotations', testedAnnotation], testedVersion);
  const output = await apply(String(configuration));
  if (previous === undefined || toHost(previous) === toHost(install.service)) return output;
  // The Service of the Go original stays.
  if (!(await isRouteTo(previous, install))) return output;
  return [output, ...(await removeRoute(previous, install.namespace))].join('\n');
}

/** The version of the Knative Service that passed the smoke test before the present registration. */
export async function readTestedVersion(name: string): Promise<string | undefined> {
  const registered = await findRegistered(name);
  if (registered === undefined) return undefined;
  return v.parse(webhookConfiguration, registered).metadata.annotations[testedAnnotation];
}

async function isRouteTo(
  service: ServiceName,
  { name, namespace }: InstallSettings,
): Promise<boolean> {
  const own = `--namespace=${namespace}`;
  if ((await find('domainmapping', toHost(service), own)) !== undefined) return true;
  const object = await find('service', service.name, `--namespace=${service.namespace}`);
  if (object === undefined || service.namespace !== namespace) return false;
  return v.parse(selectingService, object).spec.selector['serving.knative.dev/service'] === name;
}

function readClient(object: unknown): {
  readonly caBundle: string;
  readonly service?: ServiceName | undefined;
} {
  return v.parse(webhookConfiguration, object).webhooks[0].clientConfig;
}
