import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';
import * as v from 'valibot';
import { fillRenewal } from '../../functions/deploy/manifests/renewal.ts';
import { renewInstallation } from '../../functions/renew/renew.ts';
import { createCertificateChain } from '../../lib/install/certificate.ts';
import { readReport } from '../../lib/install/renewal/index.ts';
import { parseSettings } from '../../lib/install/settings.ts';
import { toTlsSecret } from '../../lib/install/tls-secret.ts';
import { toWebhookConfiguration } from '../../lib/install/webhook-configuration.ts';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { createAuthDir } from './support/auth-dir.ts';
import { eventually } from './support/eventually.ts';
import { createTempDir } from './support/janitor.ts';
import { writeKubeconfig } from './support/kubeconfig.ts';
import { findFreePort } from './support/port.ts';
import { startWebhook, type Webhook } from './support/webhook.ts';

const settings = parseSettings({ WIRING: 'direct' });
const { name, namespace, service, hosts } = settings;
const [host] = hosts;
const clusterIp = '127.77.0.10';
const dayMs = 86_400_000;
const { signal } = new AbortController();
/** In the backup already, so that the review needs no registry request. */
const image = '127.0.0.1:1/acme/nginx:1';

const secretSchema = v.object({
  metadata: v.object({ annotations: v.optional(v.record(v.string(), v.string()), {}) }),
  data: v.record(v.string(), v.string()),
});
const configurationSchema = v.object({
  webhooks: v.tuple([v.object({ clientConfig: v.object({ caBundle: v.string() }) })]),
});

/**
 * A real API server that calls a real webhook with failurePolicy Fail. In place of a kubelet, `mount` writes the Secret to the files
 * that the webhook reads.
 */
describe('image-cloner renew with a real API server', () => {
  const dir = createTempDir('renew');
  const files = { certFile: join(dir, 'tls.crt'), keyFile: join(dir, 'tls.key') };
  let server: ApiServer;
  let webhook: Webhook;
  let kubeconfig: string;
  let port: number;

  before(async () => {
    server = await startApiServer();
    for (const each of [namespace, 'other']) await server.createNamespace(each);
    await server.createNamespace('shop', { 'image-cloner': settings.labelValue });
    port = await findFreePort();
    await apply(toService(port));
    const renewal = await readFile('knative/renewal/renewal.yaml', 'utf8');
    await server.mustKubectl(
      ['apply', '--filename=-'],
      fillRenewal(renewal, { install: settings, image: 'registry.example.com/a:1' }),
    );
    const account = ['token', `${name}-renewal`, `--namespace=${namespace}`];
    const token = (await server.mustKubectl(['create', ...account])).trim();
    kubeconfig = await writeKubeconfig({ file: join(dir, 'config'), url: server.url, token });
    await install(336);
    const authDir = await createAuthDir({ name: 'acme', password: 'p' });
    const env = { CLONER: 'registry', REGISTRY: '127.0.0.1:1', REGISTRY_AUTH_DIR: authDir };
    // With TLS_PORT the probe of `startWebhook` needs no certificate.
    webhook = await startWebhook({
      env: {
        ...env,
        TLS_PORT: String(port),
        TLS_CERT_FILE: files.certFile,
        TLS_PRIVATE_KEY_FILE: files.keyFile,
      },
    });
    await eventually('the API server calls the webhook', async () => {
      await review();
      return answered() > 0;
    });
  });
  after(async () => {
    await webhook.stop();
    await server.stop();
  });

  async function apply(object: object): Promise<void> {
    await server.mustKubectl(['apply', '--filename=-'], JSON.stringify(object));
  }

  /** Puts a new certificate into force, as `deploy` does, that was made so many days ago. */
  async function install(daysAgo: number): Promise<void> {
    const now = new Date(Date.now() - daysAgo * dayMs);
    const chain = await createCertificateChain({ hosts, now });
    await apply(toTlsSecret(settings, chain));
    const configuration = toWebhookConfiguration(settings, chain.ca);
    await apply({
      ...configuration,
      webhooks: configuration.webhooks.map((each) => ({
        ...each,
        clientConfig: { ...each.clientConfig, service: { ...service, path: settings.path, port } },
      })),
    });
    await mount();
  }

  async function get<Schema extends v.GenericSchema>(
    schema: Schema,
    ...args: readonly string[]
  ): Promise<v.InferOutput<Schema>> {
    return v.parse(schema, JSON.parse(await server.mustKubectl(['get', ...args, '-o=json'])));
  }

  async function readSecret(): Promise<v.InferOutput<typeof secretSchema>> {
    return await get(secretSchema, 'secret', `${name}-tls`, `--namespace=${namespace}`);
  }

  async function readBundle(): Promise<string> {
    const { webhooks } = await get(configurationSchema, 'mutatingwebhookconfiguration', name);
    return webhooks[0].clientConfig.caBundle;
  }

  async function mount(): Promise<void> {
    const { data } = await readSecret();
    await writeFile(files.keyFile, atob(data['tls.key'] ?? ''));
    await writeFile(files.certFile, atob(data['tls.crt'] ?? ''));
  }

  /** Runs `renew` with the rights of the CronJob, so many days from now. Resolves with what it printed. */
  async function renew(inDays: number): Promise<readonly string[]> {
    const lines: string[] = [];
    await renewInstallation({
      env: { NAME: name, NAMESPACE: namespace, KUBECONFIG: kubeconfig },
      problems: [],
      now: () => new Date(Date.now() + inDays * dayMs),
      print: (line) => lines.push(line),
      signal,
    });
    return lines.slice(1);
  }

  /** The error of one write that needs a review. */
  async function review(): Promise<string> {
    const { stderr } = await server.kubectl(
      ['create', '--namespace=shop', '--dry-run=server', '--filename=-'],
      JSON.stringify(toDeployment()),
    );
    return stderr.trim();
  }

  function answered(): number {
    return webhook.log().filter(({ msg }) => msg === 'review answered').length;
  }

  /** Writes without a pause while `work` runs; resolves with what was refused. */
  async function reviewDuring(work: () => Promise<void>): Promise<readonly string[]> {
    const refused: string[] = [];
    const done = new AbortController();
    const loops = [review, handshake].map(async (check) => {
      while (!done.signal.aborted) {
        const problem = await check();
        if (problem !== '') refused.push(problem);
      }
    });
    await work().finally(() => done.abort());
    await Promise.all(loops);
    return refused;
  }

  /** The API server keeps its connections, so this verifies new ones as it would: with the bundle and the host name. */
  async function handshake(): Promise<string> {
    const ca = atob(await readBundle());
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = connect({ host: clusterIp, port, servername: host, ca }, () => resolve(''));
    socket.on('error', ({ message }) => resolve(message));
    return await promise.finally(() => socket.destroy());
  }

  /** Waits until the webhook has loaded what `mount` wrote. */
  async function mountAndWait(): Promise<void> {
    await mount();
    const served = atob((await readSecret()).data['tls.crt'] ?? '');
    await eventually('the webhook presents the certificate of the Secret', async () => {
      const { promise, resolve } = Promise.withResolvers<string>();
      const options = { host: clusterIp, port, servername: host, rejectUnauthorized: false };
      const socket = connect(options, () =>
        resolve(socket.getPeerX509Certificate()?.toString() ?? ''),
      );
      socket.on('error', () => resolve(''));
      return (await promise.finally(() => socket.destroy())).trim() === served.trim();
    });
  }

  it('a renewal in three daily runs refuses no write, with the rights of its CronJob alone', async () => {
    const before = answered();

    const refused = await reviewDuring(async () => {
      assert.deepEqual((await renew(0)).slice(0, -1), [
        'created a new certificate, which is not used yet',
        'the webhook configuration trusts the old and the new CA',
        'noted the time, from which the next step has to wait',
      ]);
      await mountAndWait();
      assert.deepEqual((await renew(1)).slice(0, -1), ['the Secret has the new certificate']);
      // The kubelet has not mounted it yet.
      assert.match((await renew(2)).join(), /^the old CA stays trusted: \S+ presents another cert/);
      await mountAndWait();
      assert.deepEqual((await renew(3)).slice(0, -1), [
        'the webhook configuration trusts the new CA only: the renewal is complete',
      ]);
      await review();
    });

    assert.deepEqual(refused, []);
    assert.ok(answered() > before + 5, `${answered() - before} reviews`);
    const { metadata, data } = await readSecret();
    assert.equal(await readBundle(), data['ca.crt']);
    assert.equal(readReport(metadata.annotations)?.state, 'good');
    assert.match((await renew(3)).join(), /^the next renewal begins at /);
  });

  it('two renewals at the same time end with one certificate and one CA', async () => {
    await install(336);
    await Promise.allSettled([renew(0), renew(0)]);
    await Promise.allSettled([renew(1), renew(1)]);
    await mountAndWait();
    await Promise.allSettled([renew(2), renew(2)]);

    const { data } = await readSecret();
    assert.deepEqual(Object.keys(data).toSorted(), ['ca.crt', 'tls.crt', 'tls.key']);
    assert.equal(await readBundle(), data['ca.crt']);
    assert.equal(await handshake(), '');
  });

  it('a lost Secret is created again by name, and the pods that still have it refuse nothing', async () => {
    const refused = await reviewDuring(async () => {
      await server.mustKubectl(['delete', 'secret', `${name}-tls`, `--namespace=${namespace}`]);
      assert.deepEqual((await renew(0)).slice(0, 1), [
        'created the Secret, which did not exist, with a new certificate',
      ]);
      await mountAndWait();
      await renew(1);
    });

    assert.deepEqual(refused, []);
    assert.equal(await readBundle(), (await readSecret()).data['ca.crt']);
  });

  it('an expired certificate, which the API server refuses, is replaced in one run', async () => {
    await install(366);
    await eventually('the API server refuses it', async () => (await handshake()) !== '');
    await eventually('writes are refused', async () =>
      /certificate has expired/.test(await review()),
    );

    await renew(0);
    await mountAndWait();

    assert.equal(await handshake(), '');
    await eventually('writes pass', async () => (await review()) === '');
  });

  it('the renewal may touch its Secret and its webhook configuration, and nothing else', async () => {
    const can = async (...args: readonly string[]): Promise<string> => {
      const account = `--as=system:serviceaccount:${namespace}:${name}-renewal`;
      const { stdout } = await server.kubectl(['auth', 'can-i', account, ...args]);
      return stdout.trim();
    };
    const own = `--namespace=${namespace}`;

    assert.equal(await can('patch', `secret/${name}-tls`, own), 'yes');
    assert.equal(await can('patch', `mutatingwebhookconfiguration/${name}`), 'yes');
    for (const args of [
      ['get', 'secret/registry-auth', own],
      ['list', 'secrets', own],
      ['create', 'secrets', own],
      ['delete', `secret/${name}-tls`, own],
      ['get', `secret/${name}-tls`, '--namespace=other'],
      ['patch', 'mutatingwebhookconfiguration/other'],
      ['delete', `mutatingwebhookconfiguration/${name}`],
      ['create', 'mutatingwebhookconfigurations'],
      ['list', 'endpointslices', '--namespace=other'],
    ]) {
      assert.equal(await can(...args), 'no', args.join(' '));
    }
  });

  it('a renewal without rights says which object it may not change, and leaves everything as it is', async () => {
    await install(336);
    await server.mustKubectl(['delete', 'clusterrolebinding', `${name}-renewal`]);

    await assert.rejects(renew(0), {
      message: `cannot read the MutatingWebhookConfiguration ${name}: no permission; apply knative/renewal/renewal.yaml`,
    });
  });
});

/** As `WIRING=direct` makes them: a Service whose endpoint is the webhook on this machine. */
function toService(port: number): object {
  const metadata = { name: service.name, namespace };
  const ports = [{ name: 'https', port, protocol: 'TCP' }];
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { ...metadata, labels: { 'kubernetes.io/service-name': service.name } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [ownAddress()], conditions: { ready: true } }],
    ports,
  };
  const object = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { clusterIP: clusterIp, ports },
  };
  return { apiVersion: 'v1', kind: 'List', items: [object, slice] };
}

/** The API server accepts no loopback address as an endpoint. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const found = all.find(({ family, internal }) => family === 'IPv4' && !internal);
  assert.ok(found, 'this machine has an IPv4 address besides loopback');
  return found.address;
}

function toDeployment(): object {
  const labels = { app: 'web' };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web' },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: 'web', image }] },
      },
    },
  };
}
