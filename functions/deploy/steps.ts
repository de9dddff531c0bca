import { parseReference } from '../../lib/index.ts';
import type { InstallSettings } from '../../lib/install/settings.ts';
import { parseYaml } from '../../lib/install/yaml.ts';
import { apply, find } from './kubectl.ts';
import type { Generated } from './manifests/generated.ts';
import { type Manifests, toHost, toYaml } from './manifests/manifests.ts';
import { callThroughApiServer } from './probe.ts';
import { type Readiness, readReadiness, waitUntilReady } from './ready.ts';
import { readProof, register, toProof, trustBoth } from './registration.ts';
import type { DeploySettings } from './settings.ts';
import { startFromCopy } from './smoke-test/copied-pod.ts';

/** One thing that `deploy` does; the next one may rely on it. */
export interface Step {
  readonly what: string;
  /** Resolves with what there is to say about it. */
  readonly run: () => Promise<string>;
}

/** The first start pulls the image. */
const serviceWithinMs = 300_000;
const mappingWithinMs = 60_000;
/** The kubelet may take two minutes to bring a new certificate into a pod that serves it itself. */
const callWithinMs = 180_000;

/** Everything that has to be done, in order. */
export function toSteps(
  settings: DeploySettings,
  { namespace, rights, service, wiring }: Manifests,
  { webhook, tlsSecret }: Generated,
  print: (line: string) => void,
): readonly Step[] {
  const { install } = settings;
  const { name } = install;
  const own = `--namespace=${install.namespace}`;
  let proof = '';
  return [
    { what: 'namespace and ServiceAccount', run: () => applyNamespace(namespace, install) },
    { what: 'what it may do and who may reach it', run: () => apply(rights) },
    { what: 'trust in the new certificate', run: () => trustBoth(webhook, install) },
    { what: 'TLS secret', run: () => apply(tlsSecret) },
    {
      what: 'Knative Service',
      run: async () => {
        const { said, after } = await applyService(service, ['ksvc', name, own], settings.image);
        proof = toProof(after);
        return said;
      },
    },
    {
      what:
        install.wiring === 'direct'
          ? 'the Service in front of its pods'
          : 'its https name and the Service in front of the gateway',
      run: async () => {
        const said = await apply(wiring);
        if (install.wiring === 'gateway') {
          await waitUntilReady(['domainmapping', toHost(install.service), own], mappingWithinMs);
        }
        return said;
      },
    },
    {
      what: 'a call by the API server for a pod of ours alone',
      run: async () => {
        const isProved = (await readProof(name)) === proof;
        await callThroughApiServer(webhook, name, callWithinMs, async () => {
          print('answered');
          if (!isProved) print(`a node has pulled ${await startFromCopy(settings)}`);
        });
        return isProved ? 'a pod has been started from the backup before' : '';
      },
    },
    { what: 'webhook configuration', run: () => register(webhook, proof, install) },
  ];
}

/** Whoever made the Secret registry-auth has made the namespace too, as they like it: it is theirs. */
async function applyNamespace(yaml: string, { namespace }: InstallSettings): Promise<string> {
  const isThere = (await find('namespace', namespace)) !== undefined;
  const mine = parseYaml(yaml).filter((object) => object.get('kind') !== 'Namespace');
  return await apply(isThere ? toYaml(mine) : yaml);
}

async function applyService(
  yaml: string,
  object: readonly string[],
  image: string,
): Promise<{ readonly said: string; readonly after: Readiness }> {
  const before = await readReadiness(...object);
  const said = await apply(yaml);
  const after = await waitUntilReady(object, serviceWithinMs).catch((error: unknown) => {
    throw new Error(withImageAdvice(error, image), { cause: error });
  });
  // kubectl compares lists as a whole, and so takes Knative's defaults in them for a difference.
  const isSame = before !== undefined && before.generation === after.generation;
  return { said: isSame ? said.replace(/configured$/m, 'unchanged') : said, after };
}

/** Knative's controller itself asks the registry for the image's digest before anything runs. */
function withImageAdvice(error: unknown, image: string): string {
  const said = error instanceof Error ? error.message : String(error);
  if (!/Unable to fetch image/i.test(said)) return said;
  const { domain } = parseReference(image);
  return [
    said,
    `Knative's controller asks ${domain} for IMAGE: push it there first.`,
    'Where it needs a password, give the ServiceAccount image-cloner imagePullSecrets.',
    `Where the nodes reach and trust ${domain} and the controller does not, add it to registries-skipping-tag-resolving in ConfigMap config-deployment, namespace knative-serving.`,
  ].join('\n');
}
