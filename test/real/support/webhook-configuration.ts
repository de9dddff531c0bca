import type { ApiServer } from './api-server.ts';
import { eventually } from './eventually.ts';

interface WebhookRule {
  readonly operations: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
}

export interface WebhookConfigurationOptions {
  /** `https://127.0.0.1:PORT/clone-image`. */
  readonly url: string;
  readonly caBundle: string;
  /** @default deployments and daemonsets, CREATE and UPDATE */
  readonly rules?: readonly WebhookRule[];
  /** @default 10 */
  readonly timeoutSeconds?: number;
  /** @default Fail */
  readonly failurePolicy?: 'Fail' | 'Ignore';
  /** Required labels of a namespace. @default image-cloner: enabled */
  readonly namespaceLabels?: Readonly<Record<string, string>>;
}

const defaultRules: readonly WebhookRule[] = [
  {
    operations: ['CREATE', 'UPDATE'],
    apiGroups: ['apps'],
    resources: ['deployments', 'daemonsets'],
  },
];

const probeNamespace = 'webhook-probe';

/**
 * Registers a webhook and waits until the API server calls it: dry-runs a Deployment labelled `image-cloner: disabled` in a separate
 * namespace until `wasCalled` returns true.
 */
export async function registerWebhook(
  apiServer: ApiServer,
  options: WebhookConfigurationOptions,
  wasCalled: () => boolean,
): Promise<void> {
  const labels = options.namespaceLabels ?? { 'image-cloner': 'enabled' };
  const { code } = await apiServer.kubectl(['get', 'namespace', probeNamespace]);
  if (code !== 0) await apiServer.createNamespace(probeNamespace, labels);
  await apiServer.mustKubectl(
    ['apply', '--filename', '-'],
    JSON.stringify(toWebhookConfiguration(options, labels)),
  );
  await eventually('the API server calls the webhook', async () => {
    await apiServer.kubectl(
      ['create', '--dry-run=server', '--filename', '-'],
      JSON.stringify(probe()),
    );
    return wasCalled();
  });
}

function toWebhookConfiguration(
  options: WebhookConfigurationOptions,
  namespaceLabels: Readonly<Record<string, string>>,
): object {
  const { url, caBundle, rules = defaultRules, timeoutSeconds = 10 } = options;
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: 'image-cloner' },
    webhooks: [
      {
        name: 'clone-image.image-cloner.dev',
        clientConfig: { url, caBundle },
        rules: rules.map((rule) => ({ ...rule, apiVersions: ['v1'] })),
        namespaceSelector: { matchLabels: namespaceLabels },
        failurePolicy: options.failurePolicy ?? 'Fail',
        sideEffects: 'NoneOnDryRun',
        admissionReviewVersions: ['v1'],
        timeoutSeconds,
      },
    ],
  };
}

function probe(): object {
  const labels = { app: 'probe' };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name: 'probe',
      namespace: probeNamespace,
      labels: { 'image-cloner': 'disabled' },
    },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: 'probe', image: 'probe' }] },
      },
    },
  };
}
