import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { issueAcrCredentials } from '../../../lib/adapters/cloud/acr.ts';
import { type CertificateAndKey, makeCertificate } from '../../support/certificate.ts';
import {
  acrDomain,
  createFakeAzure,
  entraError,
  entraHost,
  type FakeAzure,
  tenant,
} from '../../support/clouds/azure.ts';
import { type ConnectProxy, serveConnectProxy } from '../../support/clouds/proxy.ts';
import { type CloudServer, serveCloud, setEnv } from '../../support/clouds/server.ts';

/** The libraries of Azure against servers that implement the documented endpoints, through a proxy. */
describe('issueAcrCredentials', () => {
  let dir: string;
  let certificate: CertificateAndKey;
  let azure: FakeAzure;
  let server: CloudServer;
  let proxy: ConnectProxy;
  let restore: () => void;
  const { signal } = new AbortController();
  const systemCas = getCACertificates('default');

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'azure-'));
    await writeFile(join(dir, 'token'), 'federated-token');
    certificate = await makeCertificate('01', { hosts: [acrDomain, entraHost] });
    setDefaultCACertificates([certificate.cert]);
  });
  after(async () => {
    setDefaultCACertificates(systemCas);
    await rm(dir, { recursive: true });
  });
  beforeEach(async () => {
    azure = createFakeAzure();
    server = await serveCloud(azure.answer, createServer(certificate));
    const port = Number(server.host.split(':')[1]);
    proxy = await serveConnectProxy(() => port);
    restore = setEnv({
      HTTPS_PROXY: proxy.url,
      AZURE_TENANT_ID: tenant,
      AZURE_CLIENT_ID: '22222222-2222-2222-2222-222222222222',
      AZURE_FEDERATED_TOKEN_FILE: join(dir, 'token'),
      AZURE_TOKEN_CREDENTIALS: 'WorkloadIdentityCredential',
    });
  });
  afterEach(async () => {
    restore();
    await proxy.close();
    await server.close();
  });

  it('exchanges a token of Microsoft Entra for one of the registry', async () => {
    const { credentials, lifetimeMs } = await issueAcrCredentials(acrDomain, signal);

    assert.deepEqual(credentials, {
      username: '00000000-0000-0000-0000-000000000000',
      password: azure.refreshToken,
    });
    assert.equal(lifetimeMs, 3 * 3_600_000);
    const [token, exchange] = azure.forms;
    assert.equal(token?.get('client_assertion'), 'federated-token');
    assert.equal(token?.get('scope'), 'https://containerregistry.azure.net/.default');
    assert.equal(exchange?.get('grant_type'), 'access_token');
    assert.equal(exchange?.get('service'), acrDomain);
    assert.equal(exchange?.get('access_token'), 'entra-token');
    assert.deepEqual(new Set(proxy.targets), new Set([`${entraHost}:443`, `${acrDomain}:443`]));
  });

  it('repeats an exchange that the registry throttles', async () => {
    azure.faults.set('exchange', [{ status: 429, headers: { 'retry-after': '0' }, body: '{}' }]);

    const { credentials } = await issueAcrCredentials(acrDomain, signal);

    assert.equal(credentials.password, azure.refreshToken);
  });

  it('says what to do if the registry refuses the token of Microsoft Entra', async () => {
    azure.faults.set('exchange', [{ status: 401, body: '{"errors":[{"code":"UNAUTHORIZED"}]}' }]);

    await assert.rejects(issueAcrCredentials(acrDomain, signal), {
      name: 'IdentityError',
      message:
        'acme.azurecr.io refused the token of Microsoft Entra (401): give the identity the role AcrPush (for sources AcrPull) on that registry',
      isTransient: false,
    });
  });

  it('says what to do if Microsoft Entra refuses the federated token of the pod', async () => {
    const expired = entraError('invalid_client', 'AADSTS700024: Client assertion is expired', 401);
    azure.faults.set('token', [expired]);

    await assert.rejects(issueAcrCredentials(acrDomain, signal), {
      name: 'IdentityError',
      message:
        'Microsoft Entra refused the identity (AADSTS700024): check the client ID, and that its federated credential names the ServiceAccount image-cloner',
      isTransient: false,
    });
  });

  it('says that there is no Azure identity', async () => {
    const restoreNone = setEnv({ AZURE_FEDERATED_TOKEN_FILE: undefined });

    const issued = issueAcrCredentials(acrDomain, signal).finally(() => restoreNone());

    await assert.rejects(issued, {
      name: 'IdentityError',
      message:
        'no Azure identity was found: give the ServiceAccount image-cloner one (Microsoft Entra Workload ID)',
      isTransient: false,
    });
  });

  it('reports an unreadable answer to the exchange of a token as transient', async () => {
    azure.faults.set('exchange', [{ body: '<html>' }]);

    await assert.rejects(issueAcrCredentials(acrDomain, signal), {
      name: 'IdentityError',
      message: 'acme.azurecr.io answered the exchange of the token with something else',
      isTransient: true,
    });
  });

  it('ends the request of a silent registry with the signal', async () => {
    azure.faults.set('exchange', ['silence']);
    const abort = new AbortController();
    const issued = issueAcrCredentials(acrDomain, abort.signal);
    while (azure.forms.length < 2) await new Promise(setImmediate);
    abort.abort();

    await assert.rejects(issued, { name: 'IdentityError', isTransient: true });
  });
});
