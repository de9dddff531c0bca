import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { fillRenewal } from '../../../../functions/deploy/manifests/renewal.ts';

const yaml = await readFile('knative/renewal/renewal.yaml', 'utf8');
const install = { name: 'cloner', namespace: 'tools' };
const image = 'registry.example.com/cloner:7';

type Objects = Readonly<Record<string, unknown>>;

/** The objects by kind. */
function parse(text: string): Objects {
  return Object.fromEntries(
    [...parseAllDocuments(text)].map((object) => [String(object.get('kind')), object.toJS()]),
  );
}

describe('fillRenewal', () => {
  it('the renewal has rights on the Secret and the webhook configuration of its installation, and on nothing else', () => {
    const objects = parse(fillRenewal(yaml, { install, image }));

    assert.partialDeepStrictEqual(objects, {
      Role: {
        metadata: { name: 'cloner-renewal', namespace: 'tools' },
        rules: [
          {
            apiGroups: [''],
            resources: ['secrets'],
            resourceNames: ['cloner-tls'],
            verbs: ['get', 'patch', 'create'],
          },
          { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list'] },
        ],
      },
      ClusterRole: {
        metadata: { name: 'cloner-renewal' },
        rules: [
          {
            apiGroups: ['admissionregistration.k8s.io'],
            resources: ['mutatingwebhookconfigurations'],
            resourceNames: ['cloner'],
            verbs: ['get', 'patch'],
          },
        ],
      },
    });
    for (const kind of ['Role', 'ClusterRole'] as const) {
      const account = { kind: 'ServiceAccount', name: 'cloner-renewal', namespace: 'tools' };
      assert.partialDeepStrictEqual(objects, {
        ServiceAccount: { metadata: { name: 'cloner-renewal', namespace: 'tools' } },
        [`${kind}Binding`]: { roleRef: { kind, name: 'cloner-renewal' }, subjects: [account] },
      });
    }
  });

  it('the CronJob of the renewal runs the image of the webhook once a day, with its own ServiceAccount', () => {
    const { CronJob } = parse(
      fillRenewal(yaml, { install, image, imagePullSecrets: ['tools-pull'] }),
    );

    assert.partialDeepStrictEqual(CronJob, {
      metadata: { name: 'cloner-renewal', namespace: 'tools' },
      spec: {
        schedule: '17 3 * * *',
        concurrencyPolicy: 'Forbid',
        jobTemplate: {
          spec: {
            template: {
              metadata: {
                labels: {
                  'app.kubernetes.io/instance': 'cloner',
                  'image-cloner': 'disabled',
                },
              },
              spec: {
                serviceAccountName: 'cloner-renewal',
                imagePullSecrets: [{ name: 'tools-pull' }],
                containers: [
                  {
                    image,
                    args: ['renew'],
                    env: [
                      { name: 'NAME', value: 'cloner' },
                      { name: 'NAMESPACE', value: 'tools' },
                    ],
                    securityContext: {
                      runAsNonRoot: true,
                      readOnlyRootFilesystem: true,
                      allowPrivilegeEscalation: false,
                    },
                  },
                ],
              },
            },
          },
        },
      },
    });
  });

  it('the NetworkPolicy of the renewal selects its pods, and lets nobody connect to them', () => {
    const { NetworkPolicy, CronJob } = parse(fillRenewal(yaml, { install, image }));
    const matchLabels = {
      'app.kubernetes.io/name': 'image-cloner-renewal',
      'app.kubernetes.io/instance': 'cloner',
    };

    assert.partialDeepStrictEqual(NetworkPolicy, {
      metadata: { name: 'cloner-renewal', namespace: 'tools' },
      spec: { podSelector: { matchLabels }, policyTypes: ['Ingress', 'Egress'] },
    });
    assert.partialDeepStrictEqual(CronJob, {
      spec: { jobTemplate: { spec: { template: { metadata: { labels: matchLabels } } } } },
    });
  });

  it('the file for an installation by hand has the default names', () => {
    const filled = fillRenewal(yaml, {
      install: { name: 'image-cloner', namespace: 'image-cloner' },
      image: 'registry.example.com/image-cloner:v1',
    });

    assert.deepEqual(parse(filled), parse(yaml));
  });
});
