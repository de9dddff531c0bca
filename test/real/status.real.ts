import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { runProgram } from './support/program.ts';

/** What somebody left behind in need. A cluster where all is well is in test/real/cluster. */
describe('just status, where things are broken', () => {
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

  it('tells of all else where the certificate is none', async () => {
    const secret = ['secret', 'generic', 'image-cloner-tls', '--from-literal=tls.crt=garbage'];
    await server.mustKubectl(['--namespace=image-cloner', 'create', ...secret]);

    const lines = await status();

    assert.ok(lines.includes('-- webhook not registered'), lines.join('\n'));
    assert.ok(lines.includes('-- certificate cannot be read: just gen deploy'), lines.join('\n'));
  });

  it('takes a configuration from which somebody has removed the webhook for none', async () => {
    const emptied = {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'image-cloner' },
      webhooks: [],
    };
    await server.mustKubectl(['create', '--filename=-'], JSON.stringify(emptied));

    const lines = await status();

    assert.ok(lines.includes('-- webhook not registered'), lines.join('\n'));
  });
});
