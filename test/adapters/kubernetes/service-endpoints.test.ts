import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createListEndpoints } from '../../../lib/adapters/kubernetes/service-endpoints.ts';
import { type FakeApi, startFakeApi } from './fake-api.ts';

const { signal } = new AbortController();
const path =
  '/apis/discovery.k8s.io/v1/namespaces/ours/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dhook';
const service = { name: 'hook', namespace: 'ours' };

describe('createListEndpoints', () => {
  let fake: FakeApi;
  beforeEach(async () => {
    fake = await startFakeApi();
  });
  afterEach(async () => {
    await fake.close();
  });

  it('lists the endpoints of all slices once each, also those that are not ready, but not those of deleted pods', async () => {
    const ports = [{ name: 'https', port: 8443 }];
    fake.answers.set(path, {
      body: {
        items: [
          {
            addressType: 'IPv4',
            ports,
            endpoints: [
              { addresses: ['10.0.0.1'], conditions: { ready: true } },
              { addresses: ['10.0.0.2'], conditions: { ready: false, terminating: false } },
              { addresses: ['10.0.0.3'], conditions: { ready: false, terminating: true } },
            ],
          },
          { addressType: 'IPv4', ports, endpoints: [{ addresses: ['10.0.0.1'] }] },
          { addressType: 'IPv6', ports, endpoints: [{ addresses: ['fd00::1'] }] },
          { addressType: 'IPv4' },
        ],
      },
    });

    assert.deepEqual(await createListEndpoints({ api: fake.discovery })(service, signal), [
      { address: '10.0.0.1', port: 8443 },
      { address: '10.0.0.2', port: 8443 },
      { address: 'fd00::1', port: 8443 },
    ]);
  });

  it('names the Service whose endpoints it cannot list', async () => {
    fake.answers.set(path, { status: 403, body: { kind: 'Status' } });

    await assert.rejects(createListEndpoints({ api: fake.discovery })(service, signal), {
      message: 'cannot list the endpoints of the Service hook in ours: HTTP 403',
    });
  });
});
