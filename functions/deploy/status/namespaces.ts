import type * as v from 'valibot';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { mapConcurrently } from '../../../lib/util/semaphore.ts';
import { kubectl } from '../kubectl.ts';
import type { anyObject } from '../objects.ts';
import type { Row } from './row.ts';

type Namespace = v.InferOutput<typeof anyObject>;

const maxConcurrentProbes = 8;
const label = 'image-cloner';

/**
 * One row per opted-in namespace: whether a write passes now, tried with a server-side dry run. Without a container image to copy the
 * webhook asks no registry, so the answer is about the webhook alone.
 */
export async function probeNamespaces(
  namespaces: readonly Namespace[],
  { labelValue, workloads, service }: InstallSettings,
): Promise<readonly Row[]> {
  const optedIn = namespaces.filter(({ metadata }) => metadata.labels[label] === labelValue);
  if (optedIn.length === 0) {
    const text = `none has the label ${label}=${labelValue}: kubectl label namespace NAMESPACE ${label}=${labelValue}`;
    return [{ what: 'namespaces', isGood: true, text }];
  }
  // Only a kind that the API server sends for review tells something.
  const probe = workloads.includes('deployments') ? toDeployment() : toJob();
  return await mapConcurrently(optedIn, maxConcurrentProbes, async ({ metadata }) => {
    const { code, stderr } = await kubectl(
      ['create', '--dry-run=server', `--namespace=${metadata.name}`, '--filename=-'],
      JSON.stringify(probe),
    );
    const what = `namespace ${metadata.name}`;
    if (code === 0) return { what, isGood: true, text: 'writes pass' };
    const refusal = stderr.split('\n').find((line) => line.startsWith('Error')) ?? stderr;
    // A policy of the cluster may refuse the image of the probe.
    const isOurs = refusal.includes(`${service.name}.${service.namespace}.svc`);
    const text = `${isOurs ? 'writes are refused' : 'not known, the test was refused'}: ${toReason(refusal)}`;
    return { what, isGood: !isOurs, text };
  });
}

/** Namespaces whose label no webhook knows, such as `image-cloner=true`: their owner thinks that they are opted in. */
export function findMisspelt(
  namespaces: readonly Namespace[],
  known: ReadonlySet<string>,
): readonly Row[] {
  return namespaces
    .filter(({ metadata }) => !known.has(metadata.labels[label] ?? ''))
    .map(({ metadata: { name, labels } }) => ({
      what: `namespace ${name}`,
      isGood: false,
      text: `no webhook has the label ${label}=${labels[label]}: kubectl label namespace ${name} --overwrite ${label}=${[...known][0] ?? ''}`,
    }));
}

/** Drops what kubectl puts before the reason. */
export function toReason(refusal: string): string {
  return refusal
    .replace(/^Error from server[^:]*: /, '')
    .replace(/^error when creating "[^"]*": /i, '')
    .replace(/^Internal error occurred: /, '');
}

const spec = {
  containers: [{ name: 'probe', image: 'probe', imagePullPolicy: 'Never' }],
};

function toDeployment(): object {
  const labels = { app: 'image-cloner-probe' };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'image-cloner-probe' },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  };
}

function toJob(): object {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'image-cloner-probe' },
    spec: { template: { spec: { ...spec, restartPolicy: 'Never' } } },
  };
}
