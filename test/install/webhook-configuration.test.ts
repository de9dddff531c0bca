import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseSettings } from '../../lib/install/settings.ts';
import { toWebhookConfiguration } from '../../lib/install/webhook-configuration.ts';

describe('toWebhookConfiguration', () => {
  it('returns the whole webhook configuration for the default settings', () => {
    assert.deepEqual(toWebhookConfiguration(parseSettings({}), 'the CA in PEM\n'), {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'image-cloner' },
      webhooks: [
        {
          name: 'image-cloner.kourier-system.svc',
          admissionReviewVersions: ['v1'],
          sideEffects: 'NoneOnDryRun',
          timeoutSeconds: 10,
          failurePolicy: 'Fail',
          reinvocationPolicy: 'IfNeeded',
          matchPolicy: 'Equivalent',
          namespaceSelector: {
            matchLabels: { 'image-cloner': 'image-cloner' },
            matchExpressions: [
              {
                key: 'kubernetes.io/metadata.name',
                operator: 'NotIn',
                values: [
                  'calico-system',
                  'contour-external',
                  'contour-internal',
                  'image-cloner',
                  'istio-system',
                  'knative-operator',
                  'knative-serving',
                  'kourier-system',
                  'kube-flannel',
                  'kube-system',
                ],
              },
            ],
          },
          objectSelector: {
            matchExpressions: [{ key: 'image-cloner', operator: 'NotIn', values: ['disabled'] }],
          },
          rules: [
            {
              apiGroups: ['apps'],
              apiVersions: ['v1'],
              operations: ['CREATE', 'UPDATE'],
              resources: ['deployments', 'daemonsets', 'statefulsets'],
              scope: 'Namespaced',
            },
            {
              apiGroups: ['batch'],
              apiVersions: ['v1'],
              operations: ['CREATE', 'UPDATE'],
              resources: ['cronjobs', 'jobs'],
              scope: 'Namespaced',
            },
          ],
          matchConditions: [
            {
              name: 'images-may-have-changed',
              expression: `request.operation != 'UPDATE' ||
request.kind.kind == 'Pod' && object.?spec != oldObject.?spec ||
object.?spec.?template != oldObject.?spec.?template ||
object.?spec.?jobTemplate != oldObject.?spec.?jobTemplate ||
object.?template != oldObject.?template ||
object.?metadata.?annotations[?'image-cloner/backfill'] != oldObject.?metadata.?annotations[?'image-cloner/backfill']`,
            },
            {
              name: 'not-opted-out',
              expression: `[object.?metadata.?labels[?'image-cloner'], object.?spec.?template.?metadata.?labels[?'image-cloner'], object.?spec.?jobTemplate.?spec.?template.?metadata.?labels[?'image-cloner'], object.?template.?metadata.?labels[?'image-cloner']].all(label, label != optional.of('disabled'))`,
            },
          ],
          clientConfig: {
            service: {
              namespace: 'kourier-system',
              name: 'image-cloner',
              port: 443,
              path: '/clone-image',
            },
            caBundle: 'dGhlIENBIGluIFBFTQo=',
          },
        },
      ],
    });
  });

  it('has one webhook rule for each API group, and one for ephemeral containers of pods', () => {
    const settings = parseSettings({
      WORKLOADS:
        'services.serving.knative.dev jobs deployments pods configurations.serving.knative.dev replicationcontrollers podtemplates replicasets deployments',
    });

    const { rules } = toWebhookConfiguration(settings, '').webhooks[0];

    const common = { apiVersions: ['v1'], scope: 'Namespaced' };
    const operations = ['CREATE', 'UPDATE'];
    assert.deepEqual(rules, [
      {
        ...common,
        apiGroups: [''],
        operations: ['UPDATE'],
        resources: ['pods/ephemeralcontainers'],
      },
      {
        ...common,
        apiGroups: [''],
        operations,
        resources: ['pods', 'podtemplates', 'replicationcontrollers'],
      },
      { ...common, apiGroups: ['apps'], operations, resources: ['deployments', 'replicasets'] },
      { ...common, apiGroups: ['batch'], operations, resources: ['jobs'] },
      {
        ...common,
        apiGroups: ['serving.knative.dev'],
        operations,
        resources: ['services', 'configurations'],
      },
    ]);
  });

  it('calls a webhook outside the cluster at WEBHOOK_URL and WEBHOOK_PATH', () => {
    const settings = parseSettings({ WEBHOOK_URL: 'https://127.0.0.1:8443', WEBHOOK_PATH: '/x' });

    const { clientConfig, name } = toWebhookConfiguration(settings, 'x').webhooks[0];

    assert.deepEqual(clientConfig, { url: 'https://127.0.0.1:8443/x', caBundle: 'eA==' });
    assert.equal(name, 'image-cloner.kourier-system.svc');
  });

  it('excludes the namespaces of the webhook, its Service and its backup registry from reviews', () => {
    const settings = parseSettings({
      NAMESPACE: 'tools',
      SERVICE_NAMESPACE: 'gateways',
      REGISTRY: 'registry.backups.svc.cluster.local:5000',
    });

    const { namespaceSelector } = toWebhookConfiguration(settings, '').webhooks[0];

    assert.deepEqual(namespaceSelector.matchExpressions, [
      {
        key: 'kubernetes.io/metadata.name',
        operator: 'NotIn',
        values: [
          'backups',
          'calico-system',
          'contour-external',
          'contour-internal',
          'gateways',
          'istio-system',
          'knative-operator',
          'knative-serving',
          'kourier-system',
          'kube-flannel',
          'kube-system',
          'tools',
        ],
      },
    ]);
  });

  it('reviews edited names of copies by a second webhook that ignores failures, if the backup is known', () => {
    const settings = parseSettings({ REGISTRY: 'registry.corp', REGISTRY_NAMESPACE: 'acme' });

    const [reviews, edits, ...others] = toWebhookConfiguration(settings, 'the CA').webhooks;

    assert.deepEqual(others, []);
    assert.equal(reviews.failurePolicy, 'Fail');
    assert.equal(edits?.name, `edits.${reviews.name}`);
    assert.equal(edits?.failurePolicy, 'Ignore');
    assert.deepEqual(edits?.clientConfig, reviews.clientConfig);
    assert.deepEqual(edits?.namespaceSelector, reviews.namespaceSelector);
    assert.deepEqual(
      edits?.rules.map(({ operations }) => operations),
      [['UPDATE'], ['UPDATE']],
    );
    assert.deepEqual(
      edits?.matchConditions.map(({ name }) => name),
      ['not-opted-out', 'copy-edited'],
    );
  });

  it('adds the condition image-outside-backup only if REGISTRY_NAMESPACE is set', () => {
    assert.deepEqual(conditions({ REGISTRY: 'registry.corp:5000' }), [
      'images-may-have-changed',
      'not-opted-out',
    ]);
    assert.deepEqual(conditions({ REGISTRY: 'registry.corp:5000', REGISTRY_NAMESPACE: 'acme' }), [
      'images-may-have-changed',
      'not-opted-out',
      'image-outside-backup',
    ]);
  });
});

function conditions(env: Readonly<Record<string, string>>): readonly string[] {
  const { matchConditions } = toWebhookConfiguration(parseSettings(env), '').webhooks[0];
  return matchConditions.map(({ name }) => name);
}
