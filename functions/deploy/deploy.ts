import { isCloud } from '../../lib/config/registry-auth.ts';
import { ConfigError } from '../../lib/errors.ts';
import { toSentence } from '../shared/run-command.ts';
import { find, mustKubectl } from './kubectl.ts';
import { readGenerated, readManifests } from './manifests/index.ts';
import { checkCluster } from './preflight/index.ts';
import { withRegistryAuth } from './registry-auth.ts';
import type { DeploySettings } from './settings.ts';
import { toSteps } from './steps.ts';

type Print = (line: string) => void;

const clusterIdPath = '{.spec.template.spec.containers[0].env[?(@.name=="CLUSTER_ID")].value}';

/**
 * Installs everything; the webhook configuration comes last, so that no write waits for a webhook that is not ready.
 * Changes nothing if the preflight fails, and nothing if everything is installed already.
 */
export async function deploy(given: DeploySettings, print: Print): Promise<boolean> {
  const settings = await withRegistryAuth(given);
  const { install } = settings;
  const [generated, { problems, notes }] = await Promise.all([
    readGenerated(install).catch(toConfigError),
    readManifests(settings).then((manifests) => checkCluster(settings, manifests)),
  ]);
  if (generated instanceof ConfigError || problems.length > 0) {
    const missing = generated instanceof ConfigError ? generated.problems : [];
    throw new ConfigError([...missing, ...problems, 'nothing was changed']);
  }
  for (const note of [...generated.notes, ...notes]) print(`Note: ${note}`);
  const { registryAuth: auth } = settings;
  if (given.registryAuth === 'auto' && isCloud(auth)) {
    print(
      `Note: REGISTRY_AUTH=auto means ${auth} here; it is recorded and stays so until you set it`,
    );
  }
  const env = await withClusterId(settings, generated.clusterId);
  const manifests = await readManifests({ ...settings, env });

  const done: string[] = [];
  for (const { what, run } of toSteps(settings, manifests, generated, print)) {
    print(`== ${what}`);
    try {
      const output = (await run()).trim();
      if (output !== '') print(output);
    } catch (error) {
      throw new Error(await toReport(what, error, done, install.name), { cause: error });
    }
    done.push(what);
  }
  print('');
  print('The webhook reviews workloads in namespaces with the label image-cloner=enabled:');
  print('  kubectl label namespace NAMESPACE image-cloner=enabled');
  print(`To remove it: just undeploy; in an emergency: ${toEmergencyCommand(install.name)}`);
  return true;
}

/** Private copies belong to a CLUSTER_ID, so it must not change: the environment wins, then the running Service, then `just gen`. */
async function withClusterId(
  { install, env }: DeploySettings,
  generated: string | undefined,
): Promise<DeploySettings['env']> {
  if (env.has('CLUSTER_ID')) return env;
  const object = ['ksvc', install.name, `--namespace=${install.namespace}`];
  const output = ['--ignore-not-found', `--output=jsonpath=${clusterIdPath}`];
  const id = (await mustKubectl(['get', ...object, ...output])) || generated;
  return id === undefined ? env : new Map([...env, ['CLUSTER_ID', id]]);
}

async function toReport(
  what: string,
  error: unknown,
  done: readonly string[],
  name: string,
): Promise<string> {
  const registered = await find('mutatingwebhookconfiguration', name).catch(() => undefined);
  return [
    `${what}: ${toSentence(error)}`,
    `Completed steps: ${done.length === 0 ? 'none' : done.join(', ')}.`,
    registered === undefined
      ? 'The webhook is not registered: no write in the cluster waits for it.'
      : `The webhook was registered before and still is. If it rejects writes: ${toEmergencyCommand(name)}`,
    'Fix the cause and run "just deploy" again, or remove everything with "just undeploy".',
  ].join('\n');
}

function toEmergencyCommand(name: string): string {
  return `kubectl delete mutatingwebhookconfiguration ${name}`;
}

function toConfigError(error: unknown): ConfigError {
  if (error instanceof ConfigError) return error;
  throw error;
}
