import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { issueGarCredentials } from '../../../lib/adapters/cloud/gar.ts';
import { createFakeMetadataServer, type FakeMetadataServer } from '../../support/clouds/google.ts';
import { type CloudServer, serveCloud, setEnv } from '../../support/clouds/server.ts';

/** The library of Google against a server that implements the documented metadata server. */
describe('issueGarCredentials', () => {
  let metadata: FakeMetadataServer;
  let server: CloudServer;
  let restore: () => void;

  beforeEach(async () => {
    metadata = createFakeMetadataServer();
    server = await serveCloud(metadata.answer);
    restore = setEnv({
      GCE_METADATA_HOST: server.host,
      METADATA_SERVER_DETECTION: 'assume-present',
      GOOGLE_APPLICATION_CREDENTIALS: undefined,
      CLOUDSDK_CONFIG: '/nowhere',
      HOME: '/nowhere',
    });
  });
  afterEach(async () => {
    restore();
    await server.close();
  });

  it('gets a token of Google from the metadata server', async () => {
    const { credentials, lifetimeMs } = await issueGarCredentials();

    assert.deepEqual(credentials, { username: 'oauth2accesstoken', password: 'google-token' });
    assert.ok(lifetimeMs > 3_590_000 && lifetimeMs <= 3_599_000);
    assert.deepEqual(metadata.scopes, ['https://www.googleapis.com/auth/cloud-platform']);
  });

  it('asks the metadata server again for each token', async () => {
    await issueGarCredentials();
    metadata.token = 'second';

    const { credentials } = await issueGarCredentials();

    assert.equal(credentials.password, 'second');
  });

  it('repeats a request that the metadata server throttles', async () => {
    metadata.faults.push({ status: 429, body: 'slow down' });

    const { credentials } = await issueGarCredentials();

    assert.equal(credentials.password, 'google-token');
    assert.equal(metadata.scopes.length, 2);
  });

  for (const status of [403, 404]) {
    it(`says what to do if the metadata server answers ${status}`, async () => {
      metadata.faults.push({ status, headers: { 'metadata-flavor': 'Google' }, body: 'no' });

      await assert.rejects(issueGarCredentials(), {
        name: 'IdentityError',
        message: `the metadata server refused a token (${status}): bind the ServiceAccount image-cloner to the Google identity (roles/iam.workloadIdentityUser)`,
        isTransient: false,
      });
    });
  }

  it('calls a response of the metadata server without a token transient', async () => {
    const headers = { 'metadata-flavor': 'Google', 'content-type': 'application/json' };
    metadata.faults.push({ headers, body: '{}' });

    await assert.rejects(issueGarCredentials(), { name: 'IdentityError', isTransient: true });
  });

  it('says that there is no Google identity', async () => {
    const restoreNone = setEnv({ METADATA_SERVER_DETECTION: 'none' });

    const issued = issueGarCredentials().finally(() => restoreNone());

    await assert.rejects(issued, {
      name: 'IdentityError',
      message:
        'no Google identity was found: give the ServiceAccount image-cloner one (Workload Identity Federation for GKE)',
      isTransient: false,
    });
  });
});
