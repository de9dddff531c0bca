import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type Document, parseAllDocuments } from 'yaml';
import { fillManifests, manifestsDir } from '../../functions/deploy/manifests/manifests.ts';
import { ConfigError } from '../../lib/errors.ts';
import { parseDeployEnv } from '../support/deploy-settings.ts';

const image = 'registry.example.com/image-cloner:v1';

describe('parseDeployEnv', () => {
  it('deploy passes webhook variables to the pod, without those of this machine', () => {
    const { env, variant, install } = parseDeployEnv({
      IMAGE: image,
      REGISTRY: 'registry.example.com',
      ON_ERROR: 'admit',
      ON_DEADLINE: '  ',
      PORT: '9999',
      DOCKER_HOST: 'tcp://laptop:2375',
      REGISTRY_AUTH_DIR: 'auth',
      TLS_CERT_FILE: 'x.crt',
      HOME: '/home/me',
    });

    assert.deepEqual(Object.fromEntries(env), {
      REGISTRY: 'registry.example.com',
      ON_ERROR: 'admit',
    });
    assert.equal(variant, 'docker');
    assert.equal(install.gateway, 'kourier');
  });

  it('deploy passes PLATFORMS to the pod, and refuses it with CLONER=docker', () => {
    const given = { IMAGE: image, PLATFORMS: 'linux/amd64' };

    const { env, platforms } = parseDeployEnv({ ...given, CLONER: 'registry' });

    assert.deepEqual([...env], [['PLATFORMS', 'linux/amd64']]);
    assert.deepEqual(platforms, ['linux/amd64']);
    assert.throws(() => parseDeployEnv(given), /^ConfigError: PLATFORMS needs CLONER=registry/);
  });

  it('deploy uses IMAGE for the smoke test unless PROBE_IMAGE is set', () => {
    assert.equal(parseDeployEnv({ IMAGE: image }).probeImage, image);
    const settings = parseDeployEnv({ IMAGE: image, PROBE_IMAGE: 'busybox:1.36' });
    assert.equal(settings.probeImage, 'busybox:1.36');
    assert.throws(
      () => parseDeployEnv({ IMAGE: image, PROBE_IMAGE: 'No Image' }),
      /PROBE_IMAGE must be an image name/,
    );
  });

  it('deploy accepts files of the Secret image-cloner-files, but no files of this machine', () => {
    const { files, env } = parseDeployEnv({
      IMAGE: image,
      CLONER: 'registry',
      SOURCE_AUTH_FILE: '/files/config.json',
      REGISTRY_CA_FILE: '/files/ca.crt',
    });

    assert.deepEqual(files, ['config.json', 'ca.crt']);
    assert.equal(env.get('REGISTRY_CA_FILE'), '/files/ca.crt');
    for (const path of ['ca.crt', '/files/', '/files/../auth/password', '/home/me/ca.crt']) {
      assert.throws(
        () => parseDeployEnv({ IMAGE: image, REGISTRY_CA_FILE: path }),
        /REGISTRY_CA_FILE must be \/files\/KEY, a key of the Secret image-cloner-files/,
      );
    }
  });

  it('deploy accepts TLS_CLIENT_CA_FILE only with WIRING=direct', () => {
    const env = { IMAGE: image, TLS_CLIENT_CA_FILE: '/files/client-ca.crt' };

    assert.deepEqual(parseDeployEnv({ ...env, WIRING: 'direct' }).files, ['client-ca.crt']);
    assert.throws(() => parseDeployEnv(env), /TLS_CLIENT_CA_FILE needs WIRING=direct/);
  });

  it('deploy lists all problems at once, including those of the webhook configuration', () => {
    const env = { IMAGE: 'image-cloner:v1', GATEWAY: 'nginx', ON_ERROR: 'maybe', NAME: 'Über' };

    assert.throws(
      () => parseDeployEnv(env),
      (error) => {
        assert.ok(error instanceof ConfigError);
        const named = error.problems.map((problem) => problem.split(' ')[0]);
        assert.deepEqual(new Set(named), new Set(['GATEWAY', 'IMAGE', 'NAME', 'ON_ERROR']));
        return true;
      },
    );
  });

  for (const image of ['', 'image-cloner:v1', 'docker.io/library/image-cloner', 'Not An Image']) {
    it(`deploy rejects IMAGE=${JSON.stringify(image)}, which no node can pull`, () => {
      assert.throws(() => parseDeployEnv({ IMAGE: image }), /IMAGE must name a registry/);
    });
  }

  for (const image of [
    'acme/image-cloner:v1',
    'dev.local/image-cloner',
    '10.0.0.1:5000/a@sha256:' + 'a'.repeat(64),
  ]) {
    it(`deploy accepts IMAGE=${image}`, () => {
      assert.equal(parseDeployEnv({ IMAGE: image }).image, image);
    });
  }
});

interface Filled {
  readonly objects: readonly Document[];
  /** Kind, namespace, name. */
  readonly names: readonly (readonly unknown[])[];
}

async function fill(
  files: { readonly service: string; readonly wiring: string },
  env: Readonly<Record<string, string>>,
): Promise<Filled> {
  const read = (file: string): Promise<string> => readFile(join(manifestsDir, file), 'utf8');
  const [namespace, rbac, policy, budget, service, wiring] = await Promise.all(
    [
      'namespace.yaml',
      'rbac.yaml',
      'network-policy.yaml',
      'disruption-budget.yaml',
      files.service,
      files.wiring,
    ].map(read),
  );
  const filled = fillManifests(
    {
      namespace: namespace ?? '',
      access: `${rbac}---\n${policy}`,
      identity: '',
      service: service ?? '',
      budget: budget ?? '',
      wiring: wiring ?? '',
      certificates: '',
    },
    parseDeployEnv({ IMAGE: image, ...env }),
  );
  const objects = [
    filled.namespace,
    filled.access,
    filled.service,
    filled.budget,
    filled.wiring,
  ].flatMap((yaml) => [...parseAllDocuments(yaml)]);
  return {
    objects,
    names: objects.map((object) => [
      object.get('kind'),
      object.getIn(['metadata', 'namespace']),
      object.getIn(['metadata', 'name']),
    ]),
  };
}

function ofKind({ objects }: Filled, kind: string, apiVersion?: string): Document {
  const found = objects.find(
    (object) =>
      object.get('kind') === kind &&
      (apiVersion === undefined || object.get('apiVersion') === apiVersion),
  );
  assert.ok(found, kind);
  return found;
}

const knativeService = 'serving.knative.dev/service';

describe('fillManifests', () => {
  it('deploy uses the names of this installation in all manifests', async () => {
    const filled = await fill(
      { service: 'base/service.yaml', wiring: 'gateway/kourier.yaml' },
      {
        NAME: 'cloner',
        NAMESPACE: 'tools',
        SERVICE_NAME: 'hook',
        SERVICE_NAMESPACE: 'gateways',
        REGISTRY: 'registry.example.com',
      },
    );

    assert.deepEqual(filled.names, [
      ['Namespace', undefined, 'tools'],
      ['ServiceAccount', 'tools', 'image-cloner'],
      ['Role', 'tools', 'image-cloner-leases'],
      ['RoleBinding', 'tools', 'image-cloner-leases'],
      ['NetworkPolicy', 'tools', 'cloner'],
      ['Service', 'tools', 'cloner'],
      ['PodDisruptionBudget', 'tools', 'cloner'],
      ['ClusterDomainClaim', undefined, 'hook.gateways.svc'],
      ['DomainMapping', 'tools', 'hook.gateways.svc'],
      ['Service', 'gateways', 'hook'],
    ]);
    const service = ofKind(filled, 'Service', 'serving.knative.dev/v1');
    const container = ['spec', 'template', 'spec', 'containers', 0];
    assert.equal(service.getIn([...container, 'image']), image);
    assert.equal(service.getIn([...container, 'env', 1, 'name']), 'REGISTRY');
    assert.equal(service.getIn([...container, 'env', 1, 'value']), 'registry.example.com');
    const claim = ofKind(filled, 'ClusterDomainClaim');
    const mapping = ofKind(filled, 'DomainMapping');
    assert.equal(claim.getIn(['spec', 'namespace']), 'tools');
    assert.equal(mapping.getIn(['spec', 'ref', 'name']), 'cloner');
    assert.equal(mapping.getIn(['spec', 'tls', 'secretName']), 'cloner-tls');
    assert.equal(ofKind(filled, 'RoleBinding').getIn(['subjects', 0, 'namespace']), 'tools');
    const policy: unknown = ofKind(filled, 'NetworkPolicy').toJS();
    assert.partialDeepStrictEqual(policy, {
      spec: { podSelector: { matchLabels: { [knativeService]: 'cloner' } } },
    });
  });

  it('deploy allows traffic from the namespace of the gateway', async () => {
    const filled = await fill(
      { service: 'base/service.yaml', wiring: 'gateway/kourier.yaml' },
      { SERVICE_NAMESPACE: 'gateways' },
    );

    const policy: unknown = ofKind(filled, 'NetworkPolicy').toJS();
    const values = [
      'knative-serving',
      'kourier-system',
      'contour-external',
      'contour-internal',
      'istio-system',
      'gateways',
    ];
    assert.partialDeepStrictEqual(policy, {
      spec: {
        ingress: [{ from: [{ namespaceSelector: { matchExpressions: [{ values }] } }] }],
      },
    });
  });

  it('deploy uses the names of this installation for WIRING=direct', async () => {
    const filled = await fill(
      { service: 'base/service.yaml', wiring: 'direct/service.yaml' },
      { WIRING: 'direct', NAME: 'cloner', NAMESPACE: 'tools' },
    );

    assert.deepEqual(filled.names.slice(-2), [
      ['Service', 'tools', 'cloner-webhook'],
      ['NetworkPolicy', 'tools', 'cloner-webhook'],
    ]);
    const service = ofKind(filled, 'Service', 'v1');
    assert.equal(service.getIn(['spec', 'selector', knativeService]), 'cloner');
    const policy: unknown = filled.objects.at(-1)?.toJS();
    assert.partialDeepStrictEqual(policy, {
      spec: { podSelector: { matchLabels: { [knativeService]: 'cloner' } } },
    });
  });
});
