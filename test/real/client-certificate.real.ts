import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { makeClientCa } from '../support/certificate.ts';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { createAuthDir } from './support/auth-dir.ts';
import { eventually } from './support/eventually.ts';
import { createTempDir } from './support/janitor.ts';
import { findFreePort } from './support/port.ts';
import { createTls, type Tls } from './support/tls.ts';
import { startWebhook, type Webhook } from './support/webhook.ts';
import { registerWebhook } from './support/webhook-configuration.ts';

const namespace = 'shop';
/** In the backup already, so that the review needs no registry request. */
const image = '127.0.0.1:1/acme/nginx:1';

/** A kube-apiserver whose AdmissionConfiguration has a client certificate for one of two webhooks. */
describe('TLS_CLIENT_CA_FILE with a real API server', () => {
  let apiServer: ApiServer;
  let tls: Tls;
  let known: Webhook;
  let unknown: Webhook;

  before(async () => {
    const dir = createTempDir('client-certificate');
    const clients = await makeClientCa();
    const clientCaFile = join(dir, 'clients.crt');
    await writeFile(clientCaFile, clients.ca);
    const authDir = await createAuthDir({ name: 'acme', password: 'p' });
    tls = await createTls();
    const env = {
      CLONER: 'registry',
      REGISTRY: '127.0.0.1:1',
      REGISTRY_AUTH_DIR: authDir,
      TLS_CLIENT_CA_FILE: clientCaFile,
    };
    const port = await findFreePort();
    const kubeConfigFile = join(dir, 'kubeconfig');
    const { cert, key } = await clients.issue();
    const user = { 'client-certificate-data': btoa(cert), 'client-key-data': btoa(key) };
    const users = [{ name: `127.0.0.1:${port}`, user }];
    await writeFile(kubeConfigFile, JSON.stringify({ apiVersion: 'v1', kind: 'Config', users }));
    const admissionFile = join(dir, 'admission.yaml');
    await writeFile(admissionFile, JSON.stringify(toAdmissionConfiguration(kubeConfigFile)));
    [known, unknown, apiServer] = await Promise.all([
      startWebhook({ tls, env, port }),
      startWebhook({ tls, env }),
      startApiServer([`--admission-control-config-file=${admissionFile}`]),
    ]);
    await apiServer.createNamespace(namespace, { 'image-cloner': 'enabled' });
  });
  after(async () => {
    await Promise.all([known.stop(), unknown.stop(), apiServer.stop()]);
  });

  function register(webhook: Webhook, wasCalled: () => boolean): Promise<void> {
    const options = { url: `${webhook.url}/clone-image`, caBundle: tls.caBundle };
    return registerWebhook(apiServer, options, wasCalled);
  }

  async function createDeployment(name: string): Promise<string> {
    const { stderr } = await apiServer.kubectl(
      ['create', '--namespace', namespace, '--filename', '-'],
      JSON.stringify(toDeployment(name)),
    );
    return stderr;
  }

  it('accepts reviews of an API server with a client certificate', async () => {
    const answered = (): number =>
      known.log().filter(({ msg }) => msg === 'review answered').length;
    await register(known, () => answered() > 0);
    const before = answered();

    assert.equal(await createDeployment('known'), '');

    assert.equal(answered(), before + 1);
  });

  it('rejects reviews of an API server without a client certificate, and kubectl shows the reason', async () => {
    await register(unknown, () => true);
    let shown = '';

    await eventually('the API server calls the other webhook', async () => {
      shown = await createDeployment(`unknown-${Math.random().toString(36).slice(2)}`);
      return shown !== '';
    });

    assert.match(
      shown,
      /AdmissionReviews are accepted only with a certificate of a CA in TLS_CLIENT_CA_FILE/,
    );
    assert.equal(
      unknown.log().some(({ msg }) => msg === 'review answered'),
      false,
    );
  });
});

function toAdmissionConfiguration(kubeConfigFile: string): object {
  const configuration = {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'WebhookAdmissionConfiguration',
    kubeConfigFile,
  };
  return {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AdmissionConfiguration',
    plugins: [{ name: 'MutatingAdmissionWebhook', configuration }],
  };
}

function toDeployment(name: string): object {
  const labels = { app: name };
  const spec = { containers: [{ name: 'web', image }] };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  };
}
