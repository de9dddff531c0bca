import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inferSettings } from '../../../lib/install/record/index.ts';
import { parseSettings } from '../../../lib/install/settings.ts';
import { toWebhookConfiguration } from '../../../lib/install/webhook-configuration.ts';

const installation = { name: 'image-cloner', namespace: 'image-cloner' };

/** A Knative Service as versions without a record made it. */
const service = {
  spec: {
    template: {
      spec: {
        containers: [
          {
            image: 'registry.example.com/image-cloner:v1',
            env: [
              { name: 'CLONER', value: 'registry' },
              { name: 'TMPDIR', value: '/scratch' },
              { name: 'REGISTRY', value: 'registry.example.com' },
              { name: 'PULL_SECRETS', value: 'true' },
              { name: 'LOG_LEVEL', value: 'debug' },
              { name: 'HTTPS_PROXY', valueFrom: { secretKeyRef: { name: 'proxy', key: 'url' } } },
            ],
          },
        ],
      },
    },
  },
};

const serviceSettings = {
  IMAGE: 'registry.example.com/image-cloner:v1',
  CLONER: 'registry',
  REGISTRY: 'registry.example.com',
  PULL_SECRETS: 'true',
};

describe('inferSettings', () => {
  it('finds no settings in a cluster without an installation', () => {
    assert.equal(inferSettings({}, installation), undefined);
  });

  it('reads the image and the variables of the pods from the Knative Service', () => {
    assert.deepEqual(inferSettings({ service }, installation), serviceSettings);
  });

  const cases = [
    {
      given: 'the gateway wiring',
      env: { LABEL_VALUE: 'enabled', GATEWAY: 'istio', TIMEOUT_SECONDS: '15' },
      expected: {
        WIRING: 'gateway',
        GATEWAY: 'istio',
        WEBHOOK_PATH: '/clone-image',
        WORKLOADS: 'deployments,daemonsets,statefulsets,cronjobs,jobs',
        LABEL_VALUE: 'enabled',
        FAILURE_POLICY: 'Fail',
        TIMEOUT_SECONDS: '15',
      },
    },
    {
      given: 'the direct wiring with other workloads',
      env: {
        LABEL_VALUE: 'enabled',
        WIRING: 'direct',
        WORKLOADS: 'services.serving.knative.dev,pods',
        FAILURE_POLICY: 'Ignore',
      },
      expected: {
        WIRING: 'direct',
        WEBHOOK_PATH: '/clone-image',
        WORKLOADS: 'pods,services.serving.knative.dev',
        LABEL_VALUE: 'enabled',
        FAILURE_POLICY: 'Ignore',
        TIMEOUT_SECONDS: '10',
      },
    },
    {
      given: 'a Service of another name in another namespace',
      env: { LABEL_VALUE: 'enabled', SERVICE_NAME: 'hook', SERVICE_NAMESPACE: 'gateways' },
      expected: {
        WIRING: 'gateway',
        SERVICE_NAME: 'hook',
        SERVICE_NAMESPACE: 'gateways',
        WEBHOOK_PATH: '/clone-image',
        WORKLOADS: 'deployments,daemonsets,statefulsets,cronjobs,jobs',
        LABEL_VALUE: 'enabled',
        FAILURE_POLICY: 'Fail',
        TIMEOUT_SECONDS: '10',
      },
    },
    {
      given: 'a webhook outside the cluster',
      env: { LABEL_VALUE: 'enabled', WEBHOOK_URL: 'https://cloner.example.com:8443' },
      expected: {
        WEBHOOK_URL: 'https://cloner.example.com:8443',
        WEBHOOK_PATH: '/clone-image',
        WORKLOADS: 'deployments,daemonsets,statefulsets,cronjobs,jobs',
        LABEL_VALUE: 'enabled',
        FAILURE_POLICY: 'Fail',
        TIMEOUT_SECONDS: '10',
      },
    },
  ];
  for (const { given, env, expected } of cases) {
    it(`reads the webhook configuration of ${given}, and gets the same configuration from it`, () => {
      const webhook = toWebhookConfiguration(parseSettings(env), 'the CA');

      const settings = inferSettings({ service, webhook }, installation);

      assert.deepEqual(settings, { ...serviceSettings, ...expected });
      assert.deepEqual(
        toWebhookConfiguration(parseSettings({ ...settings, REGISTRY: '' }), 'the CA'),
        webhook,
      );
    });
  }

  it('takes only the label of a webhook configuration without a Knative Service, as the Go original has', () => {
    const settings = parseSettings({ LABEL_VALUE: 'enabled', SERVICE_NAMESPACE: 'default' });
    const webhook = toWebhookConfiguration(settings, 'the CA');

    assert.deepEqual(inferSettings({ webhook }, installation), { LABEL_VALUE: 'enabled' });
  });

  it('reads the copy of the record in the webhook configuration after the namespace was deleted', () => {
    const settings = { REGISTRY: 'registry.example.com', LABEL_VALUE: 'image-cloner' };
    const configuration = toWebhookConfiguration(parseSettings({}), 'the CA');
    const webhook = {
      ...configuration,
      metadata: {
        ...configuration.metadata,
        annotations: { 'image-cloner/settings': JSON.stringify(settings) },
      },
    };

    assert.deepEqual(inferSettings({ webhook }, installation), settings);
  });

  it('reads the cloud identities from the ServiceAccount', () => {
    const role = 'arn:aws:iam::123456789012:role/image-cloner';
    const serviceAccount = {
      metadata: { annotations: { 'eks.amazonaws.com/role-arn': role, other: 'kept out' } },
    };

    assert.deepEqual(inferSettings({ service, serviceAccount }, installation), {
      ...serviceSettings,
      CLOUD_IDENTITY: role,
    });
  });
});
