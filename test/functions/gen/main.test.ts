import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { parse } from 'yaml';
import { entranceCommand } from '../../support/entrance-command.ts';

/** gen runs without a cluster here. */
const note =
  'Note: no cluster is configured: set KUBECONFIG to a file with a current context: only the environment counts\n';

describe('functions/gen/main.ts', () => {
  let dir: string;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'gen-'));
  });
  afterEach(async () => {
    await rm(dir, { recursive: true });
  });

  interface Outcome {
    readonly code: number;
    readonly stdout: string;
    readonly stderr: string;
  }

  async function gen(env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const command = entranceCommand('gen');
    execFile(
      process.execPath,
      command.args,
      { env: { ...command.env, OUT_DIR: dir, ...env } },
      (error, stdout, stderr) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
    return await promise;
  }

  async function read(name: string): Promise<string> {
    return await readFile(join(dir, name), 'utf8');
  }

  async function modes(): Promise<Readonly<Record<string, string>>> {
    const names = (await readdir(dir)).toSorted();
    const entries = names.map(async (name) => {
      const { mode } = await stat(join(dir, name));
      return [name, (mode & 0o777).toString(8)] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  }

  it('just gen writes certificates, a Secret and a webhook configuration that match', async () => {
    const { code, stderr } = await gen({ REGISTRY_NAMESPACE: 'acme' });

    assert.deepEqual({ code, stderr }, { code: 0, stderr: note });
    assert.deepEqual(await modes(), {
      'ca.crt': '644',
      'cluster-id': '644',
      'tls-secret.yaml': '600',
      'tls.crt': '644',
      'tls.key': '600',
      'webhook.yaml': '644',
    });
    const [ca, certificate, key] = await Promise.all(['ca.crt', 'tls.crt', 'tls.key'].map(read));
    assert.ok(ca !== undefined && certificate !== undefined && key !== undefined);
    const leaf = new X509Certificate(certificate);
    assert.equal(leaf.checkIssued(new X509Certificate(ca)), true);
    assert.equal(leaf.checkPrivateKey(createPrivateKey(key)), true);
    assert.equal(
      leaf.checkHost('image-cloner.kourier-system.svc'),
      'image-cloner.kourier-system.svc',
    );

    const secret: unknown = parse(await read('tls-secret.yaml'));
    assert.deepEqual(secret, {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: {
        name: 'image-cloner-tls',
        namespace: 'image-cloner',
        labels: { 'networking.internal.knative.dev/certificate-uid': 'any' },
      },
      data: {
        'tls.crt': Buffer.from(certificate).toString('base64'),
        'tls.key': Buffer.from(key).toString('base64'),
        'ca.crt': Buffer.from(ca).toString('base64'),
      },
    });
    const webhook = await read('webhook.yaml');
    assert.partialDeepStrictEqual(parse(webhook), {
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'image-cloner' },
      webhooks: [
        {
          clientConfig: { caBundle: Buffer.from(ca).toString('base64') },
          matchConditions: [{ name: 'images-may-have-changed' }, { name: 'image-outside-backup' }],
        },
      ],
    });
    // CEL expressions stay readable: not folded, not escaped.
    assert.match(webhook, /^ {10}request\.operation != 'UPDATE' \|\|$/m);
  });

  it('just gen prints what it wrote, the next steps and how to remove the webhook', async () => {
    const { stdout } = await gen({ NAME: 'copier', WEBHOOK_URL: 'https://127.0.0.1:8443' });

    assert.equal(
      stdout,
      `Written:
  ${dir}/ca.crt           the CA, valid for ten years
  ${dir}/tls.crt          the certificate for 127.0.0.1, valid for one year
  ${dir}/tls.key          its private key
  ${dir}/tls-secret.yaml  both as the Secret copier-tls in image-cloner
  ${dir}/webhook.yaml     the webhook configuration: it makes the API server call the webhook
  ${dir}/cluster-id       CLUSTER_ID of this cluster, created once

Next:
  kubectl apply -f ${dir}/tls-secret.yaml
  check that https://127.0.0.1:8443 answers https with that certificate; then, as the last step, since it makes the API server call it:
  kubectl apply -f ${dir}/webhook.yaml
  kubectl label namespace NAMESPACE image-cloner=copier

To remove the webhook at any time:
  kubectl delete mutatingwebhookconfiguration copier
`,
    );
    assert.match(
      await read('webhook.yaml'),
      /^# .*kubectl delete mutatingwebhookconfiguration copier\n/,
    );
  });

  it('just gen warns if the Service has the name of the one that Knative creates', async () => {
    const { code, stdout } = await gen({ SERVICE_NAMESPACE: 'image-cloner' });

    assert.equal(code, 0);
    assert.match(stdout, /^Warning: Knative creates its own Service image-cloner in image-/m);
  });

  it('just gen replaces its files except the cluster id at the second run, and keeps other files', async () => {
    await gen();
    const before = await read('tls.key');
    const clusterId = await read('cluster-id');
    await writeFile(join(dir, 'README.md'), 'kept');

    const { code } = await gen();

    assert.equal(code, 0);
    assert.notEqual(await read('tls.key'), before);
    assert.match(clusterId, /^[0-9a-f-]{36}\n$/);
    // Private copies in the backup belong to this id.
    assert.equal(await read('cluster-id'), clusterId);
    const leaf = new X509Certificate(await read('tls.crt'));
    assert.equal(leaf.checkIssued(new X509Certificate(await read('ca.crt'))), true);
    assert.deepEqual(await modes(), {
      'README.md': '644',
      'ca.crt': '644',
      'cluster-id': '644',
      'tls-secret.yaml': '600',
      'tls.crt': '644',
      'tls.key': '600',
      'webhook.yaml': '644',
    });
  });

  it('just gen writes the key of the CA only with KEEP_CA_KEY, and deletes the key of an older CA', async () => {
    await gen({ KEEP_CA_KEY: 'true' });
    assert.equal((await modes())['ca.key'], '600');
    const ca = new X509Certificate(await read('ca.crt'));
    assert.equal(ca.checkPrivateKey(createPrivateKey(await read('ca.key'))), true);

    await gen();
    assert.equal((await modes())['ca.key'], undefined);
  });

  it('just gen warns if git would commit the private key', async () => {
    execFileSync('git', ['init', '--quiet', dir]);

    const { stdout } = await gen();

    assert.match(stdout, /\nWarning: git does not ignore \S+tls\.key, a private key: /);
    await writeFile(join(dir, '.gitignore'), '*\n');
    assert.doesNotMatch((await gen()).stdout, /git does not ignore/);
  });

  it('just gen exits with 2 and one line for each problem, and writes nothing', async () => {
    const outcome = await gen({ TIMEOUT_SECONDS: '60', FAILURE_POLICY: 'Maybe' });

    assert.deepEqual(outcome, {
      code: 2,
      stdout: '',
      stderr: `${note}gen: FAILURE_POLICY must be Fail or Ignore\ngen: TIMEOUT_SECONDS must be a whole number from 1 to 30\n`,
    });
    assert.deepEqual(await readdir(dir), []);
  });

  it('just gen exits with 1 when it cannot write, and leaves no temporary file', async () => {
    // A directory blocks the last file.
    await mkdir(join(dir, 'webhook.yaml'));

    const { code, stdout, stderr } = await gen();

    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /\ngen: .*webhook\.yaml.*\n$/);
    assert.deepEqual(
      (await readdir(dir)).filter((name) => name.endsWith('.tmp')),
      [],
    );
  });
});
