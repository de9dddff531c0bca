import { setTimeout as delay } from 'node:timers/promises';
import { parseYaml } from '../../lib/install/yaml.ts';
import { kubectl, mustKubectl } from './kubectl.ts';

const pollMs = 500;
/** What the probe's webhook configuration is asked about. */
export const probeLabels = { 'image-cloner': 'probe' };
/** Its own container is left alone with a warning, by which we know that the webhook has answered; nothing is looked up for it. */
const podTemplate = {
  apiVersion: 'v1',
  kind: 'PodTemplate',
  metadata: { name: 'image-cloner-probe', labels: probeLabels },
  template: {
    spec: {
      containers: [{ name: 'image-cloner-probe', image: 'probe', imagePullPolicy: 'Never' }],
    },
  },
};

/** Name of the probe's own webhook configuration, and of its throw-away namespace. */
export function toProbeName(name: string): string {
  return `${name}-probe`;
}

/**
 * Lets the API server itself call the webhook: by the Service, the certificate and the CA of `webhook` (YAML), but for nothing except a
 * dry run of ours, and for whatever `meanwhile` does in the probe's namespace. Only that shows that the API server resolves, reaches and
 * trusts it; a GET from a pod would not.
 */
export async function callThroughApiServer(
  webhook: string,
  name: string,
  withinMs: number,
  meanwhile: () => Promise<void>,
): Promise<void> {
  await mustKubectl(['apply', '--filename=-'], toProbe(webhook, toProbeName(name)));
  try {
    await waitForAnswer(withinMs);
    await meanwhile();
  } finally {
    await mustKubectl(['delete', 'mutatingwebhookconfiguration', toProbeName(name)]);
  }
}

async function waitForAnswer(withinMs: number): Promise<void> {
  const end = performance.now() + withinMs;
  for (;;) {
    const { stderr } = await kubectl(
      ['create', '--dry-run=server', '--namespace=default', '--filename=-'],
      JSON.stringify(podTemplate),
    );
    if (/^Warning: .*image-cloner-probe/m.test(stderr)) return;
    if (performance.now() > end) {
      const said = stderr === '' ? 'it does not call at all' : stderr;
      throw new Error(`the API server cannot use the webhook: ${said}`);
    }
    await delay(pollMs);
  }
}

/** The same webhook, asked about our own PodTemplate and pod alone, and never passed over. */
function toProbe(webhook: string, name: string): string {
  const [probe] = parseYaml(webhook);
  const only = (key: string, value: unknown): void => probe?.setIn(['webhooks', 0, key], value);
  probe?.setIn(['metadata', 'name'], name);
  only('failurePolicy', 'Fail');
  only('namespaceSelector', {
    matchExpressions: [
      { key: 'kubernetes.io/metadata.name', operator: 'In', values: ['default', name] },
    ],
  });
  only('objectSelector', { matchLabels: probeLabels });
  only('rules', [
    {
      operations: ['CREATE'],
      apiGroups: [''],
      apiVersions: ['v1'],
      resources: ['podtemplates', 'pods'],
    },
  ]);
  only('matchConditions', []);
  return String(probe);
}
