import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { deployment, review } from '../support/reviews.ts';
import { createAuthDir } from './support/auth-dir.ts';
import { type Registry, startRegistry } from './support/docker-registry.ts';
import { eventually } from './support/eventually.ts';
import { type Gate, isBlobGet, startGate } from './support/gate.ts';
import { pushImage } from './support/images.ts';
import { createTempDir } from './support/janitor.ts';
import { findFreePort } from './support/port.ts';
import { lookUpProgram, runOrThrow } from './support/program.ts';
import { startWebhook, type Webhook } from './support/webhook.ts';

const user = { name: 'acme', password: 'secret' };
/** Browsers by the names of their packages. */
const browsers = ['chromium', 'chromium-browser', 'google-chrome'];

/** The page of a webhook with a copy that waits, a refusal and an outage, as a browser shows it. */
describe('the status page in a headless browser', () => {
  let source: Registry;
  let backup: Registry;
  let gate: Gate;
  let webhook: Webhook;
  let statusPort: number;

  before(async () => {
    let authDir: string;
    [source, backup, authDir, statusPort] = await Promise.all([
      startRegistry(),
      startRegistry({ users: [user] }),
      createAuthDir(user),
      findFreePort(),
    ]);
    gate = await startGate(source);
    await pushImage(source, 'team/slow:1');
    webhook = await startWebhook({
      env: {
        CLONER: 'registry',
        REGISTRY: backup.host,
        REGISTRY_NAMESPACE: 'backups',
        REGISTRY_AUTH_DIR: authDir,
        STATUS_PORT: String(statusPort),
      },
    });
  });
  after(async () => {
    await webhook.stop();
    await Promise.all([gate.stop(), source.stop(), backup.stop()]);
  });

  /** The document that the browser has built, as HTML. */
  async function open(path: string): Promise<string> {
    const browser = browsers.find((name) => lookUpProgram(name) !== undefined) ?? 'chromium';
    return await runOrThrow(browser, [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      `--user-data-dir=${createTempDir('browser')}`,
      '--dump-dom',
      `http://127.0.0.1:${statusPort}${path}`,
    ]);
  }

  async function send(image: string, timeout: string): Promise<void> {
    await webhook.review(
      review({ namespace: 'shop', object: deployment({ web: image }) }),
      timeout,
    );
  }

  it('shows a running copy, a refusal and an outage, without markup of others', async () => {
    const held = gate.hold(isBlobGet);
    await send(`${gate.host}/team/slow:1`, '2s');
    await send(`${gate.host}/team/none:1`, '5s');
    await send('127.0.0.1:1/team/down:1', '5s');
    await send('127.0.0.1:1/team/down:2', '5s');
    await send('<script>document.title="owned"</script>', '5s');

    const dom = await open('/status');
    held.release();

    assert.match(dom, /<h2>Copies that run: 1<\/h2>/);
    assert.match(dom, /team__slow[^<]*:1 for shop: /);
    assert.match(dom, /Deployment shop\/web: [^<]*team\/none:1 does not exist/);
    assert.match(dom, /<h2>Registries<\/h2><ul><li>127\.0\.0\.1:1 gave no usable answer/);
    assert.match(dom, /&lt;script&gt;/);
    assert.doesNotMatch(dom, /<script|<title>owned/);
    assert.doesNotMatch(dom, new RegExp(user.password));
  });

  it('leads from the root to the page, where the copy ends', async () => {
    await eventually('the copy has ended', async () =>
      /<h2>Copies that run: 0<\/h2>/.test(await open('/')),
    );
  });
});
