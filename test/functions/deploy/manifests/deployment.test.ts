import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isMap, parse, parseAllDocuments } from 'yaml';
import { readManifests } from '../../../../functions/deploy/manifests/index.ts';
import { parseDeployEnv } from '../../../support/deploy-settings.ts';

const env = {
  IMAGE: 'registry.example.com/tools/image-cloner:1',
  NAME: 'cloner',
  NAMESPACE: 'tools',
  SERVING: 'deployment',
  CLONER: 'registry',
  REGISTRY: 'registry.example.com',
  PULL_SECRETS: 'true',
};
const labels = {
  'app.kubernetes.io/name': 'image-cloner',
  'app.kubernetes.io/instance': 'cloner',
};

describe('readManifests with SERVING=deployment', () => {
  it('makes a Deployment whose pods serve TLS, spread over nodes and drain before they end', async () => {
    const { service } = await readManifests(parseDeployEnv(env));

    const deployment: unknown = parse(service);
    assert.partialDeepStrictEqual(deployment, {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'cloner', namespace: 'tools', labels },
      spec: {
        replicas: 2,
        selector: { matchLabels: labels },
        strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
        template: {
          metadata: { labels: { ...labels, 'image-cloner': 'disabled' } },
          spec: {
            serviceAccountName: 'image-cloner',
            enableServiceLinks: false,
            terminationGracePeriodSeconds: 600,
            topologySpreadConstraints: [
              {
                maxSkew: 1,
                topologyKey: 'kubernetes.io/hostname',
                whenUnsatisfiable: 'ScheduleAnyway',
                labelSelector: { matchLabels: labels },
              },
            ],
            containers: [
              {
                name: 'webhook',
                image: 'registry.example.com/tools/image-cloner:1',
                ports: [
                  { name: 'http', containerPort: 8080 },
                  { name: 'https', containerPort: 8443 },
                ],
                env: [
                  { name: 'TLS_CERT_FILE', value: '/tls/tls.crt' },
                  { name: 'CLONER', value: 'registry' },
                  { name: 'TLS_PRIVATE_KEY_FILE', value: '/tls/tls.key' },
                  { name: 'TLS_PORT', value: '8443' },
                  { name: 'REGISTRY', value: 'registry.example.com' },
                  { name: 'PULL_SECRETS', value: 'true' },
                ],
                readinessProbe: { httpGet: { path: '/readyz', port: 'http' }, periodSeconds: 5 },
                livenessProbe: { httpGet: { path: '/livez', port: 'http' }, periodSeconds: 10 },
                lifecycle: { preStop: { sleep: { seconds: 15 } } },
                securityContext: { runAsNonRoot: true },
              },
            ],
            volumes: [
              {
                name: 'tls',
                secret: {
                  secretName: 'cloner-tls',
                  items: [
                    { key: 'tls.crt', path: 'tls.crt' },
                    { key: 'tls.key', path: 'tls.key' },
                  ],
                },
              },
            ],
          },
        },
      },
    });
    assert.doesNotMatch(service, /knative|timeoutSeconds|containerConcurrency/);
  });

  it('selects the pods of the Deployment in the Service, the policies and the budget', async () => {
    const { access, budget, wiring } = await readManifests(parseDeployEnv(env));

    const paths: Readonly<Record<string, readonly string[]>> = {
      Service: ['spec', 'selector'],
      NetworkPolicy: ['spec', 'podSelector', 'matchLabels'],
      PodDisruptionBudget: ['spec', 'selector', 'matchLabels'],
    };
    const selectors = [access, budget, wiring]
      .flatMap((yaml) => [...parseAllDocuments(yaml)])
      .flatMap((object) => {
        const kind = String(object.get('kind'));
        const selector = object.getIn(paths[kind] ?? ['spec', 'none']);
        return isMap(selector) ? [[kind, selector.toJSON()]] : [];
      });
    assert.deepEqual(selectors, [
      ['NetworkPolicy', labels],
      ['PodDisruptionBudget', labels],
      ['Service', labels],
      ['NetworkPolicy', labels],
    ]);
  });

  it('makes no PodDisruptionBudget for a single pod', async () => {
    const { budget } = await readManifests(parseDeployEnv({ ...env, MIN_SCALE: '1' }));

    assert.equal(budget, '');
  });

  it('makes a Knative Service that keeps MIN_SCALE pods with SERVING=knative', async () => {
    const { service } = await readManifests(
      parseDeployEnv({ ...env, SERVING: 'knative', MIN_SCALE: '3' }),
    );

    assert.match(service, /autoscaling\.knative\.dev\/min-scale: "3"/);
  });
});
