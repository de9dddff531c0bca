import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createCertificateStore } from '../../../lib/adapters/kubernetes/certificate-store.ts';
import type { CertificateStore } from '../../../lib/ports/index.ts';
import { type FakeApi, startFakeApi } from './fake-api.ts';

const { signal } = new AbortController();
const secretPath = 'ours/secrets/cloner-tls';
const configurationPath =
  '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/cloner';
const manager = 'fieldManager=image-cloner-renewal';
const service = { name: 'hook', namespace: 'gateways', path: '/clone-image', port: 443 };

const secret = {
  metadata: { name: 'cloner-tls', resourceVersion: '7', annotations: { a: 'b' } },
  data: { 'tls.crt': 'eA==' },
};
const configuration = {
  metadata: { name: 'cloner', uid: 'u', generation: 3, resourceVersion: '9' },
  webhooks: [
    { name: 'a', clientConfig: { service, caBundle: 'eQ==' } },
    { name: 'b', clientConfig: { service } },
  ],
};
const change = { data: {}, annotations: {}, version: '7' };

/** Responses of an API server that test/real/renew.real.ts does not get on demand. */
describe('createCertificateStore', () => {
  let fake: FakeApi;
  let store: CertificateStore;
  beforeEach(async () => {
    fake = await startFakeApi();
    store = createCertificateStore({
      api: fake.api,
      registrations: fake.registrations,
      namespace: 'ours',
      secretName: 'cloner-tls',
      configurationName: 'cloner',
    });
  });
  afterEach(async () => {
    await fake.close();
  });

  it('reads the Secret, and the bundle of each webhook', async () => {
    fake.answers.set(secretPath, { body: secret });
    fake.answers.set(configurationPath, { body: configuration });

    assert.deepEqual(await store.read(signal), {
      secret: { data: { 'tls.crt': 'eA==' }, annotations: { a: 'b' }, version: '7' },
      configuration: {
        service: { name: 'hook', namespace: 'gateways' },
        caBundles: ['eQ==', ''],
        revision: 'u/3',
        version: '9',
      },
    });
  });

  it('reads nothing where neither object exists', async () => {
    assert.deepEqual(await store.read(signal), {});
  });

  for (const status of [404, 409, 422]) {
    it(`reports a changed object if the API server answers a write with ${status}`, async () => {
      fake.answers.set(`${secretPath}?${manager}`, { status, body: { kind: 'Status' } });
      fake.answers.set(`${configurationPath}?${manager}`, { status, body: { kind: 'Status' } });

      assert.equal(await store.replaceSecret(change, signal), false);
      assert.equal(
        await store.replaceBundles({ caBundles: ['eA=='], version: '9' }, signal),
        false,
      );
    });
  }

  it('reports a Secret that another client has created meanwhile', async () => {
    fake.answers.set(`${secretPath}?${manager}`, { status: 409, body: { kind: 'Status' } });

    const created = { type: 'kubernetes.io/tls', labels: {}, data: {}, annotations: {} };
    assert.equal(await store.createSecret(created, signal), false);
  });

  it('names the object and the manifest with its rights if the API server forbids a write', async () => {
    fake.answers.set(`${secretPath}?${manager}`, { status: 403, body: { kind: 'Status' } });

    await assert.rejects(store.replaceSecret(change, signal), {
      message:
        'cannot change the Secret cloner-tls in ours: no permission; apply knative/renewal/renewal.yaml',
    });
  });

  it('never quotes the response of a failed read, which can have the key', async () => {
    fake.answers.set(secretPath, { status: 500, body: { data: { 'tls.key': 's3cret' } } });

    await assert.rejects(store.read(signal), {
      message: 'cannot read the Secret cloner-tls in ours: HTTP 500',
    });
  });
});
