import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { fillManifests } from '../../functions/deploy/manifests.ts';
import { parseDeploySettings } from '../../functions/deploy/settings.ts';
import { ConfigError } from '../../lib/errors.ts';

const image = 'registry.example.com/image-cloner:v1';

describe('parseDeploySettings', () => {
  it('gives the pod what the webhook reads, and nothing of this machine', () => {
    const { env, variant, gateway } = parseDeploySettings({
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
    assert.deepEqual({ variant, gateway }, { variant: 'docker', gateway: 'kourier' });
  });

  it('lists every problem at once, those of the webhook’s start included', () => {
    const env = { IMAGE: 'image-cloner:v1', GATEWAY: 'nginx', ON_ERROR: 'maybe', NAME: 'Über' };

    assert.throws(
      () => parseDeploySettings(env),
      (error) => {
        assert.ok(error instanceof ConfigError);
        const named = error.problems.map((problem) => problem.split(' ')[0]);
        assert.deepEqual(new Set(named), new Set(['GATEWAY', 'IMAGE', 'NAME', 'ON_ERROR']));
        return true;
      },
    );
  });

  for (const image of ['', 'image-cloner:v1', 'docker.io/library/image-cloner', 'Not An Image']) {
    it(`refuses ${JSON.stringify(image)}, which no node can pull`, () => {
      assert.throws(() => parseDeploySettings({ IMAGE: image }), /IMAGE must name a registry/);
    });
  }

  for (const image of [
    'acme/image-cloner:v1',
    'dev.local/image-cloner',
    '10.0.0.1:5000/a@sha256:' + 'a'.repeat(64),
  ]) {
    it(`takes ${image}`, () => {
      assert.equal(parseDeploySettings({ IMAGE: image }).image, image);
    });
  }
});

describe('fillManifests', () => {
  it('uses the names of this installation everywhere', async () => {
    const [namespace, service, wiring] = await Promise.all(
      ['namespace.yaml', 'base/service.yaml', 'gateway/kourier.yaml'].map((file) =>
        readFile(`knative/${file}`, 'utf8'),
      ),
    );
    const settings = parseDeploySettings({
      IMAGE: image,
      NAME: 'cloner',
      NAMESPACE: 'tools',
      SERVICE_NAME: 'hook',
      SERVICE_NAMESPACE: 'gateways',
      REGISTRY: 'registry.example.com',
    });

    const filled = fillManifests(
      { namespace: namespace ?? '', service: service ?? '', wiring: wiring ?? '' },
      settings,
    );

    const objects = [filled.namespace, filled.service, filled.wiring]
      .flatMap((yaml) => [...parseAllDocuments(yaml)])
      .map((object) => [
        object.get('kind'),
        object.getIn(['metadata', 'namespace']),
        object.getIn(['metadata', 'name']),
      ]);
    assert.deepEqual(objects, [
      ['Namespace', undefined, 'tools'],
      ['ServiceAccount', 'tools', 'image-cloner'],
      ['Service', 'tools', 'cloner'],
      ['ClusterDomainClaim', undefined, 'hook.gateways.svc'],
      ['DomainMapping', 'tools', 'hook.gateways.svc'],
      ['Service', 'gateways', 'hook'],
    ]);
    const [knativeService] = parseAllDocuments(filled.service);
    const container = ['spec', 'template', 'spec', 'containers', 0];
    assert.equal(knativeService?.getIn([...container, 'image']), image);
    assert.equal(knativeService?.getIn([...container, 'env', 0, 'name']), 'REGISTRY');
    assert.equal(knativeService?.getIn([...container, 'env', 0, 'value']), 'registry.example.com');
    const [claim, mapping] = parseAllDocuments(filled.wiring);
    assert.equal(claim?.getIn(['spec', 'namespace']), 'tools');
    assert.equal(mapping?.getIn(['spec', 'ref', 'name']), 'cloner');
    assert.equal(mapping?.getIn(['spec', 'tls', 'secretName']), 'cloner-tls');
  });
});
