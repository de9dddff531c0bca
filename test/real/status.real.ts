import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as v from 'valibot';
import { parseSettings } from '../../lib/install/settings.ts';
import { toWebhookConfiguration } from '../../lib/install/webhook-configuration.ts';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { createTempDir } from './support/janitor.ts';
import { startProcess } from './support/process.ts';
import { runProgram } from './support/program.ts';
import { createTls } from './support/tls.ts';

const pageSchema = v.object({
  context: v.string(),
  namespace: v.literal('image-cloner'),
  name: v.literal('image-cloner'),
  isGood: v.boolean(),
  rows: v.array(v.object({ what: v.string(), isGood: v.boolean(), text: v.string() })),
  emergency: v.literal('kubectl delete mutatingwebhookconfiguration image-cloner'),
});

/** Broken installations; test/real/cluster covers a working one. */
describe('just status of a broken installation', () => {
  let server: ApiServer;

  before(async () => {
    server = await startApiServer();
    await server.mustKubectl(['create', 'namespace', 'image-cloner']);
  });
  after(async () => {
    await server.stop();
  });

  async function status(): Promise<readonly string[]> {
    const { stdout, stderr, code } = await runProgram(
      'node',
      ['--import', 'tsx', 'functions/deploy/main.ts', 'status'],
      { env: { KUBECONFIG: server.kubeconfig } },
    );
    assert.deepEqual({ stderr, code }, { stderr: '', code: 1 });
    return stdout.split('\n').map((line) => line.replace(/ {2,}/g, ' '));
  }

  it('just status shows all other rows if the certificate is not valid', async () => {
    const secret = ['secret', 'generic', 'image-cloner-tls', '--from-literal=tls.crt=garbage'];
    await server.mustKubectl(['--namespace=image-cloner', 'create', ...secret]);

    const lines = await status();

    assert.ok(
      lines.includes('-- webhook not registered, so nothing is copied: just deploy'),
      lines.join('\n'),
    );
    assert.ok(lines.includes('-- certificate not valid: just deploy'), lines.join('\n'));
  });

  it('status --json prints one document with the installation and its rows', async () => {
    const { stdout, stderr, code } = await runProgram(
      'node',
      ['functions/cli/main.ts', 'status', '--json'],
      { env: { KUBECONFIG: server.kubeconfig } },
    );

    assert.deepEqual({ stderr, code }, { stderr: '', code: 1 });
    const page = v.parse(pageSchema, JSON.parse(stdout));
    assert.equal(page.isGood, false);
    assert.deepEqual(page.rows[0], {
      what: 'webhook',
      isGood: false,
      text: 'not registered, so nothing is copied: just deploy',
    });
  });

  it('just status shows a webhook configuration without a webhook as not registered', async () => {
    const emptied = {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'image-cloner' },
      webhooks: [],
    };
    await server.mustKubectl(['create', '--filename=-'], JSON.stringify(emptied));

    const lines = await status();

    assert.ok(
      lines.includes('-- webhook not registered, so nothing is copied: just deploy'),
      lines.join('\n'),
    );
  });

  it('status says per namespace that writes are refused, names misspelt labels and the way out, also with --watch', async () => {
    const settings = parseSettings({ WEBHOOK_URL: 'https://127.0.0.1:1' });
    const configuration = toWebhookConfiguration(settings, (await createTls()).ca);
    await server.mustKubectl(['delete', 'mutatingwebhookconfiguration', 'image-cloner']);
    await server.mustKubectl(['create', '--filename=-'], JSON.stringify(configuration));
    await server.createNamespace('shop', { 'image-cloner': 'image-cloner' });
    await server.createNamespace('misled', { 'image-cloner': 'true' });
    const dir = createTempDir('status');
    const refused = /^-- +namespace shop +writes are refused: failed calling webhook/gm;

    const watching = await startProcess({
      program: 'node',
      args: ['functions/cli/main.ts', 'status', '--watch'],
      dir,
      env: { KUBECONFIG: server.kubeconfig, WEBHOOK_URL: 'https://127.0.0.1:1' },
      isReady: async () => {
        const text = await readFile(join(dir, 'stdout.log'), 'utf8').catch(() => '');
        return (text.match(refused) ?? []).length >= 2;
      },
    });
    const { code } = await watching.stop('SIGINT');

    const text = watching.stdout();
    assert.equal(code, 1);
    assert.match(text, /^-- +namespace misled +no webhook has the label image-cloner=true: /m);
    assert.match(
      text,
      /let every write pass at once: kubectl delete mutatingwebhookconfiguration image-cloner/,
    );
  });
});
