import * as v from 'valibot';
import { ConfigError } from '../../lib/errors.ts';
import { find } from './kubectl.ts';
import { readGenerated } from './manifests/generated.ts';
import { readManifests } from './manifests/manifests.ts';
import { runningService } from './manifests/objects.ts';
import { examineCluster } from './preflight/preflight.ts';
import type { DeploySettings } from './settings.ts';
import { toSteps } from './steps.ts';

type Print = (line: string) => void;

/**
 * Puts everything into the cluster, in an order in which nothing ever waits for the webhook that is not there yet; the webhook
 * configuration comes last. Changes nothing where something is missing, and nothing where everything is there already.
 */
export async function deploy(settings: DeploySettings, print: Print): Promise<boolean> {
  const { install } = settings;
  const [generated, { missing, notes }] = await Promise.all([
    readGenerated(install).catch(toProblems),
    readManifests(settings).then((manifests) => examineCluster(settings, manifests)),
  ]);
  if (generated instanceof ConfigError || missing.length > 0) {
    const problems = generated instanceof ConfigError ? generated.problems : [];
    throw new ConfigError([...problems, ...missing, 'nothing was changed']);
  }
  for (const note of [...generated.notes, ...notes]) print(`Note: ${note}`);
  const env = await withClusterId(settings, generated.clusterId);
  const manifests = await readManifests({ ...settings, env });

  const done: string[] = [];
  for (const { what, run } of toSteps(settings, manifests, generated, print)) {
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

/** It must stay what it is, or private copies are nobody's: what is said now wins, then what runs, then what `just gen` has made. */
async function withClusterId(
  { install, env }: DeploySettings,
  generated: string | undefined,
): Promise<DeploySettings['env']> {
  if (env.has('CLUSTER_ID')) return env;
  const running = await find('ksvc', install.name, `--namespace=${install.namespace}`);
  const id = running === undefined ? generated : (readClusterId(running) ?? generated);
  return id === undefined ? env : new Map([...env, ['CLUSTER_ID', id]]);
}

function readClusterId(running: unknown): string | undefined {
  const [{ env }] = v.parse(runningService, running).spec.template.spec.containers;
  return env.find(({ name }) => name === 'CLUSTER_ID')?.value;
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
