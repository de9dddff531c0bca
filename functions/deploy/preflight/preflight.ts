import * as v from 'valibot';
import { parseAllDocuments } from 'yaml';
import { toSentence } from '../../shared/run-command.ts';
import { find, findItems, kubectl, readData } from '../kubectl.ts';
import type { Manifests } from '../manifests/index.ts';
import { anyObject, podObject, serviceObject } from '../objects.ts';
import { findCloudProblems } from '../registry-auth.ts';
import type { DeploySettings } from '../settings.ts';
import { tryBackup } from './backup.ts';
import { findGoOriginals, findOtherService, findOtherWebhooks, findOwnOptIn } from './conflicts.ts';
import { findMissingKnative } from './knative-version.ts';
import { findUnlistedNodes } from './node-platforms.ts';
import { findMissingPermissions } from './permissions.ts';

/** One sentence each, with the fix. */
interface PreflightResult {
  readonly problems: readonly string[];
  /** Findings that do not stop a deployment. */
  readonly notes: readonly string[];
}

/** What one check finds. */
type Findings = string | readonly string[] | undefined;

const hostPathFlag = 'kubernetes.podspec-volumes-hostpath';

/** Finds everything that the cluster lacks, all at once. Changes nothing. */
export async function checkCluster(
  settings: DeploySettings,
  manifests: Manifests,
): Promise<PreflightResult> {
  const { code, stderr } = await kubectl(['get', '--raw', '/readyz']);
  if (code !== 0) return { problems: [`kubectl cannot reach a cluster: ${stderr}`], notes: [] };
  const { install, variant } = settings;
  const missing = await findMissingCredentials(settings).catch(toSentence);
  const checks: readonly Promise<Findings>[] = [
    findMissingPermissions(settings, manifests),
    ...(install.serving === 'knative' ? [findMissingKnative(settings)] : []),
    ...(install.wiring === 'gateway'
      ? [findMissingGateway(manifests.wiring, install.gateway)]
      : []),
    Promise.resolve(missing),
    Promise.resolve(findCloudProblems(settings)),
    findMissingFiles(settings),
    ...(install.certificates === 'cert-manager' ? [findMissingCertManager()] : []),
    ...(variant === 'docker' && install.serving === 'knative' ? [findMissingHostPath()] : []),
    findOwnOptIn(install),
    ...(install.serving === 'knative' ? [findOtherService(install)] : []),
    findOtherWebhooks(install),
  ];
  const hints: readonly Promise<Findings>[] = [
    findGoOriginals(install),
    findMissingPullSecrets(settings),
    findUnlistedNodes(settings),
  ];
  const [problems, notes, tried] = await Promise.all([
    // An object that cannot be read counts as a problem.
    Promise.all(checks.map((check) => check.catch((error: unknown) => [toSentence(error)]))),
    Promise.all(hints.map((hint) => hint.catch(() => []))),
    missing === undefined ? tryBackup(settings) : { problems: [], notes: [] },
  ]);
  return {
    problems: [...toSentences(problems), ...tried.problems],
    notes: [...toSentences(notes), ...tried.notes],
  };
}

function toSentences(findings: readonly Findings[]): readonly string[] {
  return findings.flat().filter((finding) => finding !== undefined);
}

async function findMissingGateway(wiring: string, gateway: string): Promise<Findings> {
  const service = parseAllDocuments(wiring).find((object) => object.get('kind') === 'Service');
  const namespace = String(service?.getIn(['metadata', 'namespace']));
  const { selector } = v.parse(serviceObject, service?.toJS()).spec;
  const labels = Object.entries(selector)
    .map((pair) => pair.join('='))
    .join(',');
  const pods = await findItems(
    podObject,
    'pods',
    `--namespace=${namespace}`,
    `--selector=${labels}`,
  );
  const isReady = pods.some(({ status }) =>
    status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
  );
  return isReady
    ? undefined
    : `no pod with ${labels} is ready in ${namespace}: install ${gateway}, set GATEWAY and SERVICE_NAMESPACE to where Knative's gateway is, or set WIRING=direct, which needs no gateway`;
}

async function findMissingCredentials({
  install: { namespace },
  registryAuth,
}: DeploySettings): Promise<Findings> {
  if (registryAuth !== 'auto' && registryAuth !== 'file') return undefined;
  const data = await readData('secret', 'registry-auth', namespace);
  const has = (key: string): boolean => (data[key] ?? '').trim() !== '';
  if (has('.dockerconfigjson')) return undefined;
  const missing = ['username', 'password'].filter((key) => !has(key));
  if (missing.length === 0) return undefined;
  const isSecret = Object.keys(data).length > 0;
  const create = [
    ...((await find('namespace', namespace)) === undefined
      ? [`kubectl create namespace ${namespace}`]
      : []),
    ...(isSecret ? [`kubectl -n ${namespace} delete secret registry-auth`] : []),
    `kubectl -n ${namespace} create secret generic registry-auth --from-file=username --from-file=password`,
  ];
  return `the Secret registry-auth in ${namespace} must hold username and password of the backup registry (or .dockerconfigjson)${isSecret ? `; ${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} missing or empty` : ''}: ${create.join(' && ')}${registryAuth === 'auto' ? ', or set REGISTRY_AUTH' : ''}`;
}

async function findMissingFiles({
  files,
  install: { namespace },
}: DeploySettings): Promise<Findings> {
  if (files.length === 0) return undefined;
  const data = await readData('secret', 'image-cloner-files', namespace);
  const missing = files.filter((key) => (data[key] ?? '') === '');
  return missing.map(
    (key) =>
      `the Secret image-cloner-files in ${namespace} has no ${key}, which the configuration names: kubectl -n ${namespace} create secret generic image-cloner-files --from-file=${key}=PATH`,
  );
}

async function findMissingCertManager(): Promise<Findings> {
  const definition = await find('customresourcedefinition', 'certificates.cert-manager.io');
  return definition === undefined
    ? 'the cluster does not have certificates.cert-manager.io: install cert-manager, or set CERTIFICATES=renew'
    : undefined;
}

async function findMissingHostPath(): Promise<Findings> {
  const data = await readData('configmap', 'config-features', 'knative-serving');
  return data[hostPathFlag] === 'enabled'
    ? undefined
    : `the docker socket needs ${hostPathFlag}, which cannot be disabled safely later: kubectl -n knative-serving patch configmap config-features -p '{"data":{"${hostPathFlag}":"enabled"}}' (or set CLONER=registry, which needs no socket)`;
}

/** Without the pull secret, the webhook would rewrite pods to images that they cannot pull. */
async function findMissingPullSecrets({
  backupPullSecret,
  install,
}: DeploySettings): Promise<Findings> {
  if (backupPullSecret === undefined) return undefined;
  const namespaces = await findItems(
    anyObject,
    'namespaces',
    `--selector=image-cloner=${install.labelValue}`,
  );
  const problems = await Promise.all(
    namespaces.map(async ({ metadata: { name } }) =>
      (await find('secret', backupPullSecret, `--namespace=${name}`)) === undefined
        ? `the namespace ${name} has no Secret ${backupPullSecret}, so its pods cannot pull from the backup: just pull-secret ${name}`
        : [],
    ),
  );
  return problems.flat();
}
