import { parseReference } from '../../lib/index.ts';
import { toSettingsRecord } from '../../lib/install/record/index.ts';
import type { InstallSettings } from '../../lib/install/settings.ts';
import { formatYaml, parseYaml } from '../../lib/install/yaml.ts';
import { toSentence } from '../shared/run-command.ts';
import { readIssuedCa, type ServingCertificate } from './certificates/index.ts';
import { apply, deleteObjects, find, findObject, mustKubectl } from './kubectl.ts';
import {
  type Manifests,
  toEventsName,
  toHost,
  toIdentityPolicy,
  toPodSelector,
  toRegistration,
  toYaml,
} from './manifests/index.ts';
import { anyObject } from './objects.ts';
import { readTestedVersion, register, trustBoth } from './registration.ts';
import { removeCertManager, removeRenewal } from './remove-renewal.ts';
import type { DeploySettings } from './settings.ts';
import { askBackup, callThroughApiServer, runTestPod } from './smoke-test/index.ts';
import { type Readiness, readReadiness, waitUntilReady } from './status/index.ts';

/** One step of `deploy`, printed as its title. */
export interface Step {
  readonly what: string;
  /** Resolves with the output to print. */
  readonly run: () => Promise<string>;
}

/** The first start pulls the image. */
const serviceTimeoutMs = 300_000;
const mappingTimeoutMs = 60_000;

/** With WIRING=direct the kubelet takes up to two minutes to mount a new certificate. */
const callTimeoutMs = 180_000;

/** What a deployment applies. */
export interface Plan {
  readonly settings: DeploySettings;
  readonly manifests: Manifests;
  readonly certificate: ServingCertificate;
}

/** The steps of a deployment, in order. */
export function toSteps(
  { settings, manifests, certificate }: Plan,
  print: (line: string) => void,
): readonly Step[] {
  const { namespace, access, identity, service, budget, wiring, certificates } = manifests;
  const { install } = settings;
  const { name } = install;
  const own = `--namespace=${install.namespace}`;
  let { ca } = certificate;
  const toWebhook = (): string => formatYaml(toRegistration(settings, ca));
  const { secret } = certificate;
  const issued = [`certificates.cert-manager.io/${name}-tls`];
  let version = '';
  return [
    { what: 'namespace and ServiceAccount', run: () => applyNamespace(namespace, install) },
    { what: 'RBAC and NetworkPolicy', run: () => applyAccess(access, identity, install) },
    ...(secret === undefined
      ? []
      : [
          { what: 'CA of the new certificate', run: () => trustBoth(toWebhook(), install) },
          { what: 'TLS Secret', run: () => apply(secret) },
        ]),
    ...(install.certificates === 'cert-manager'
      ? [
          {
            what: 'certificate of cert-manager',
            run: async () => {
              const output = await apply(certificates);
              await waitUntilIssued(issued, own);
              ca = await readIssuedCa(install);
              return output;
            },
          },
        ]
      : []),
    {
      what: install.serving === 'knative' ? 'Knative Service' : 'Deployment',
      run: async () => {
        const object = [install.serving === 'knative' ? 'ksvc' : 'deployment', name, own];
        const { output, after } = await applyService(service, object, settings.image);
        // A new image, registry or pull secret changes the generation.
        version = `${after.uid}/${after.generation}`;
        return output;
      },
    },
    { what: 'PodDisruptionBudget', run: () => applyBudget(budget, install) },
    {
      what:
        install.wiring === 'direct'
          ? 'Service in front of the pods'
          : 'DomainMapping and Service in front of the gateway',
      run: async () => {
        const output = await apply(wiring);
        if (install.wiring === 'gateway') {
          await waitUntilReady(['domainmapping', toHost(install.service), own], mappingTimeoutMs);
        }
        return output;
      },
    },
    {
      what: 'smoke test: the API server calls the webhook for a test pod',
      run: async () => {
        const isTested = (await readTestedVersion(name)) === version;
        await callThroughApiServer(toWebhook(), name, callTimeoutMs, async () => {
          print('answered');
          if (isTested) await askBackup(settings);
          else print(`a node has pulled ${await runTestPod(settings)}`);
        });
        return isTested ? 'the pods reach the backup; a node pulled a copy before' : '';
      },
    },
    // Not before they have been tried: the next deployment keeps them.
    { what: 'settings', run: () => apply(formatYaml(toSettingsRecord(install, settings.record))) },
    { what: 'webhook configuration', run: () => register(toWebhook(), version, install) },
    ...(install.certificates === 'renew'
      ? [{ what: 'renewal of the certificate', run: () => apply(certificates) }]
      : []),
    { what: 'what other settings left', run: () => removeUnused(settings) },
  ];
}

async function waitUntilIssued(certificates: readonly string[], own: string): Promise<void> {
  const args = ['wait', '--for=condition=Ready', own, '--timeout=2m', ...certificates];
  await mustKubectl(args).catch((error: unknown) => {
    const describe = `kubectl describe ${own} ${certificates.join(' ')}`;
    const advice = `cert-manager has not issued it: check that cert-manager runs, and "${describe}"`;
    throw new Error(`${toSentence(error)}: ${advice}`, { cause: error });
  });
}

async function applyBudget(budget: string, { name, namespace }: InstallSettings): Promise<string> {
  const object = ['poddisruptionbudget', name, `--namespace=${namespace}`];
  if (budget === '') return await deleteObjects(...object);
  const before = await findObject(anyObject, ...object);
  const output = await apply(budget);
  const after = await findObject(anyObject, ...object);
  return describeApply(output, before?.metadata.generation, after?.metadata.generation);
}

/** kubectl compares lists and selectors as a whole, and reports a write without effect as a change. */
function describeApply(output: string, before?: number, after?: number): string {
  return before === after ? output.replace(/configured$/m, 'unchanged') : output;
}

/** The pods of the other `SERVING`, once reviews no longer reach them, and what another `CERTIFICATES` renewed with. */
async function removeUnused({ install, env }: DeploySettings): Promise<string> {
  const events = ['clusterrolebinding,clusterrole', toEventsName(install.name)];
  const outputs = [
    ...(env.get('EVENTS') === 'false' ? [await deleteObjects(...events)] : []),
    await removeOtherServing(install),
    ...(install.certificates === 'renew' ? [] : [await removeRenewal(install)]),
    ...(install.certificates === 'cert-manager' ? [] : [await removeCertManager(install)]),
  ];
  return outputs.map((output) => output.trim()).join('\n');
}

async function removeOtherServing({ serving, name, namespace }: InstallSettings): Promise<string> {
  const own = `--namespace=${namespace}`;
  const pods = toPodSelector({ serving: 'deployment', name });
  return serving === 'deployment'
    ? await deleteObjects('ksvc', name, own)
    : await deleteObjects('deployment', own, `--selector=${pods}`);
}

/** Also closes what an earlier cloud identity needed. */
async function applyAccess(
  access: string,
  identity: string,
  { name, namespace }: InstallSettings,
): Promise<string> {
  const output = await apply(access);
  const policy = ['networkpolicy', toIdentityPolicy(name), `--namespace=${namespace}`];
  const more = identity === '' ? await deleteObjects(...policy) : await apply(identity);
  return [output, more].join('\n');
}

/** Leaves an existing namespace as it is: an administrator created it for the Secret registry-auth. */
async function applyNamespace(yaml: string, { namespace }: InstallSettings): Promise<string> {
  if ((await find('namespace', namespace)) === undefined) return await apply(yaml);
  return await apply(
    toYaml(parseYaml(yaml).filter((object) => object.get('kind') !== 'Namespace')),
  );
}

async function applyService(
  yaml: string,
  object: readonly string[],
  image: string,
): Promise<{ readonly output: string; readonly after: Readiness }> {
  const before = await readReadiness(...object);
  const output = await apply(yaml);
  const after = await waitUntilReady(object, serviceTimeoutMs).catch((error: unknown) => {
    throw new Error(withImageAdvice(error, image), { cause: error });
  });
  return { output: describeApply(output, before?.generation, after.generation), after };
}

/** Knative's controller resolves the image's digest at the registry before it starts a pod. */
function withImageAdvice(error: unknown, image: string): string {
  const message = toSentence(error);
  if (!/Unable to fetch image/i.test(message)) return message;
  const { domain } = parseReference(image);
  return [
    message,
    `Knative's controller asks ${domain} for IMAGE: push it there first.`,
    'If it needs a password, add imagePullSecrets to the ServiceAccount image-cloner.',
    `If the nodes reach and trust ${domain} but the controller does not, add it to registries-skipping-tag-resolving in ConfigMap config-deployment, namespace knative-serving.`,
  ].join('\n');
}
