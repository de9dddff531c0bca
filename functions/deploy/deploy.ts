import * as v from 'valibot';
import { parse, parseAllDocuments } from 'yaml';
import { ConfigError } from '../../lib/errors.ts';
import type { InstallSettings } from '../../lib/install/settings.ts';
import { type Generated, readGenerated } from './generated.ts';
import { find, kubectl, mustKubectl } from './kubectl.ts';
import { type Manifests, readManifests, toMappedHost, toYaml } from './manifests.ts';
import { webhookConfiguration } from './objects.ts';
import { findMissing } from './preflight.ts';
import { callThroughApiServer } from './probe.ts';
import { readReadiness, waitUntilReady } from './ready.ts';
import type { DeploySettings } from './settings.ts';

type Print = (line: string) => void;

interface Step {
  readonly what: string;
  readonly run: () => Promise<string>;
}

/** The first start pulls the image. */
const serviceWithinMs = 300_000;
const mappingWithinMs = 60_000;
const callWithinMs = 60_000;

/**
 * Puts everything into the cluster, in an order in which nothing ever waits for the webhook that is not there yet; the webhook
 * configuration comes last. Changes nothing where something is missing, and nothing where everything is there already.
 */
export async function deploy(settings: DeploySettings, print: Print): Promise<boolean> {
  const { install } = settings;
  const manifests = await readManifests(settings);
  const [generated, missing] = await Promise.all([
    readGenerated(install).catch(toProblems),
    findMissing(settings, manifests),
  ]);
  if (generated instanceof ConfigError || missing.length > 0) {
    const problems = generated instanceof ConfigError ? generated.problems : [];
    throw new ConfigError([...problems, ...missing, 'nothing was changed']);
  }

  const done: string[] = [];
  for (const { what, run } of toSteps(settings, manifests, generated)) {
    print(`== ${what}`);
    try {
      const said = (await run()).trim();
      if (said !== '') print(said);
    } catch (error) {
      throw new Error(await toReport(what, error, done, install.name), { cause: error });
    }
    done.push(what);
  }
  print('');
  print('The webhook is asked about workloads in namespaces that are labelled for it:');
  print('  kubectl label namespace NAMESPACE image-cloner=enabled');
  print(`To take it out again: just undeploy, or in need: ${toWayOut(install.name)}`);
  return true;
}

function toSteps(
  { install }: DeploySettings,
  { namespace, service, wiring }: Manifests,
  { webhook, tlsSecret }: Generated,
): readonly Step[] {
  const { name } = install;
  const own = `--namespace=${install.namespace}`;
  return [
    { what: 'namespace and ServiceAccount', run: () => applyNamespace(namespace, install) },
    { what: 'trust in the new certificate', run: () => trustBoth(webhook, name) },
    { what: 'TLS secret', run: () => apply(tlsSecret) },
    {
      what: 'Knative Service',
      run: () => applyService(service, ['ksvc', name, own]),
    },
    {
      what: 'its https name and the Service in front of the gateway',
      run: async () => {
        const said = await apply(wiring);
        await waitUntilReady(['domainmapping', toMappedHost(install), own], mappingWithinMs);
        return said;
      },
    },
    {
      what: 'a call by the API server, for a dry run of ours alone',
      run: async () => {
        await callThroughApiServer(webhook, name, callWithinMs);
        return 'answered';
      },
    },
    { what: 'webhook configuration', run: () => apply(webhook) },
  ];
}

/** Whoever made the Secret registry-auth has made the namespace too, as they like it: it is theirs. */
async function applyNamespace(yaml: string, { namespace }: InstallSettings): Promise<string> {
  const isThere = (await find('namespace', namespace)) !== undefined;
  const mine = parseAllDocuments(yaml).filter((object) => object.get('kind') !== 'Namespace');
  return await apply(isThere ? toYaml(mine) : yaml);
}

/** Resolves with what kubectl says, the cluster's warnings included. */
async function apply(yaml: string): Promise<string> {
  const { code, stdout, stderr } = await kubectl(['apply', '--filename=-'], yaml);
  if (code !== 0) throw new Error(stderr);
  return `${stderr}\n${stdout}`.trim();
}

async function applyService(yaml: string, object: readonly string[]): Promise<string> {
  const before = await readReadiness(...object);
  const said = await apply(yaml);
  const after = await waitUntilReady(object, serviceWithinMs);
  // kubectl compares lists as a whole, and so takes Knative's defaults in them for a difference.
  const isSame = before !== undefined && before.generation === after.generation;
  return isSame ? said.replace(/configured$/m, 'unchanged') : said;
}

/**
 * Where the webhook is registered with the CA of another `just gen`, both are trusted from now on: the certificate changes somewhere
 * between here and the end, and no review is refused meanwhile. The last step leaves the new one.
 */
async function trustBoth(webhook: string, name: string): Promise<string> {
  const found = await find('mutatingwebhookconfiguration', name);
  if (found === undefined) return 'not registered yet';
  const [old, wanted] = [readCa(found), readCa(parse(webhook))];
  if (old === wanted) return 'unchanged';
  const both = btoa(`${atob(old)}\n${atob(wanted)}`);
  const path = '/webhooks/0/clientConfig/caBundle';
  const patch = JSON.stringify([{ op: 'replace', path, value: both }]);
  return await mustKubectl([
    'patch',
    'mutatingwebhookconfiguration',
    name,
    '--type=json',
    `--patch=${patch}`,
  ]);
}

function readCa(object: unknown): string {
  return v.parse(webhookConfiguration, object).webhooks[0].clientConfig.caBundle;
}

async function toReport(
  what: string,
  error: unknown,
  done: readonly string[],
  name: string,
): Promise<string> {
  const registered = await find('mutatingwebhookconfiguration', name).catch(() => undefined);
  return [
    `${what}: ${error instanceof Error ? error.message : String(error)}`,
    `What stands: ${done.length === 0 ? 'nothing new' : done.join(', ')}.`,
    registered === undefined
      ? 'The webhook is not registered: no write in the cluster waits for it.'
      : `The webhook was registered before and still is. If it refuses writes: ${toWayOut(name)}`,
    'Mend it and run "just deploy" again, or go back with "just undeploy".',
  ].join('\n');
}

function toWayOut(name: string): string {
  return `kubectl delete mutatingwebhookconfiguration ${name}`;
}

function toProblems(error: unknown): ConfigError {
  if (error instanceof ConfigError) return error;
  throw error;
}
