import { setTimeout as delay } from 'node:timers/promises';
import { parseYaml } from '../../../lib/install/yaml.ts';
import { kubectl, mustKubectl } from '../kubectl.ts';

const pollMs = 500;
/** Selects the objects that the probe's webhook configuration reviews. */
export const probeLabels = { 'image-cloner': 'probe' };
/** For `imagePullPolicy: Never` the webhook makes no request and warns, which shows that the API server called it. */
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

/** The name of the probe's webhook configuration and of its temporary namespace. */
export function toProbeName(name: string): string {
  return `${name}-probe`;
}

/**
 * Makes the API server call the webhook with the Service, the certificate and the CA of `webhook` (YAML), but only for a dry run
 * and for the objects that `meanwhile` creates in the probe's namespace. A GET from a pod would not test DNS, route and trust of the API server.
 */
export async function callThroughApiServer(
  webhook: string,
  name: string,
  timeoutMs: number,
  meanwhile: () => Promise<void>,
): Promise<void> {
  await mustKubectl(['apply', '--filename=-'], toProbe(webhook, toProbeName(name)));
  try {
    await waitForCall(timeoutMs);
    await meanwhile();
  } finally {
    await mustKubectl(['delete', 'mutatingwebhookconfiguration', toProbeName(name)]);
  }
}

async function waitForCall(timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const { stderr } = await kubectl(
      ['create', '--dry-run=server', '--namespace=default', '--filename=-'],
      JSON.stringify(podTemplate),
    );
    if (/^Warning: .*image-cloner-probe/m.test(stderr)) return;
    if (performance.now() > end) {
      const problem = stderr === '' ? 'no call of the API server reached it' : stderr;
      throw new Error(`the API server cannot use the webhook: ${problem}`);
    }
    await delay(pollMs);
  }
}

/** The given webhook, limited to the probe's objects and with failurePolicy Fail. */
function toProbe(webhook: string, name: string): string {
  const [probe] = parseYaml(webhook);
  const set = (key: string, value: unknown): void => probe?.setIn(['webhooks', 0, key], value);
  probe?.setIn(['metadata', 'name'], name);
  set('failurePolicy', 'Fail');
  set('namespaceSelector', {
    matchExpressions: [
      { key: 'kubernetes.io/metadata.name', operator: 'In', values: ['default', name] },
    ],
  });
  set('objectSelector', { matchLabels: probeLabels });
  set('rules', [
    {
      operations: ['CREATE'],
      apiGroups: [''],
      apiVersions: ['v1'],
      resources: ['podtemplates', 'pods'],
    },
  ]);
  set('matchConditions', []);
  probe?.deleteIn(['webhooks', 1]);
  return String(probe);
}
