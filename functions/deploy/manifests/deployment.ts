import { Document } from 'yaml';
import type { InstallSettings } from '../../../lib/install/settings.ts';
import { parseYaml } from '../../../lib/install/yaml.ts';
import { toPodLabels } from './pod-labels.ts';

const podSpec = ['spec', 'template', 'spec'];
/** Fields that only Knative knows. */
const ofKnative = ['timeoutSeconds', 'responseStartTimeoutSeconds', 'containerConcurrency'];

/**
 * Turns the Knative Service of WIRING=direct into a Deployment with the same pods, for a cluster without Knative. What Knative does
 * for its pods is said here: replicas on several nodes, a rollout without a gap, and the time to drain.
 */
export function toDeployment(service: string, install: InstallSettings): string {
  const [knative] = parseYaml(service);
  const { name, namespace } = install;
  const labels = toPodLabels(install);
  const deployment = new Document({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace, labels },
    spec: {
      replicas: install.minScale,
      selector: { matchLabels: labels },
      strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: {
        metadata: { labels: { ...labels, 'image-cloner': 'disabled' } },
      },
    },
  });
  deployment.setIn(podSpec, knative?.getIn(podSpec, true));
  for (const field of ofKnative) deployment.deleteIn([...podSpec, field]);
  const add = (path: readonly (string | number)[], value: unknown): void =>
    deployment.setIn([...podSpec, ...path], deployment.createNode(value));
  // Running copies get it minus the delay of preStop.
  add(['terminationGracePeriodSeconds'], 600);
  add(
    ['topologySpreadConstraints'],
    [
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: labels },
      },
    ],
  );
  const container = ['containers', 0];
  add([...container, 'name'], 'webhook');
  add(
    [...container, 'ports'],
    [
      { name: 'http', containerPort: 8080 },
      { name: 'https', containerPort: 8443 },
    ],
  );
  add([...container, 'readinessProbe'], {
    httpGet: { path: '/readyz', port: 'http' },
    periodSeconds: 5,
  });
  add([...container, 'livenessProbe'], {
    httpGet: { path: '/livez', port: 'http' },
    periodSeconds: 10,
  });
  // Until every node has removed the endpoint, reviews still arrive.
  add([...container, 'lifecycle'], { preStop: { sleep: { seconds: 15 } } });
  return String(deployment);
}
