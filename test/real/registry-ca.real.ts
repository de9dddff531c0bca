import assert from 'node:assert/strict';
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseReviewResponse } from '../../functions/demo/create-object.ts';
import { deployment, review } from '../support/reviews.ts';
import { createAuthDir } from './support/auth-dir.ts';
import { type Registry, startRegistry } from './support/docker-registry.ts';
import { pushImage } from './support/images.ts';
import { createTempDir } from './support/janitor.ts';
import { findFreePort } from './support/port.ts';
import { startRestartable } from './support/process.ts';
import { probe } from './support/request.ts';
import { createTls, type Tls } from './support/tls.ts';
import { startWebhook, type Webhook } from './support/webhook.ts';

/** A docker-registry with https whose CA is replaced while the webhook runs. */
describe('a backup registry with a private CA', () => {
  const dir = createTempDir('registry-ca');
  const caFile = join(dir, 'ca.crt');
  const certFile = join(dir, 'tls.crt');
  const keyFile = join(dir, 'tls.key');
  let host: string;
  let tls: Tls;
  let source: Registry;
  let backup: Awaited<ReturnType<typeof startRestartable>>;
  let webhook: Webhook;

  before(async () => {
    host = `127.0.0.1:${await findFreePort()}`;
    await issue();
    await writeFile(caFile, tls.ca);
    const configFile = join(dir, 'config.json');
    const config = {
      version: '0.1',
      storage: { filesystem: { rootdirectory: join(dir, 'data') } },
      http: { addr: host, tls: { certificate: certFile, key: keyFile } },
    };
    await writeFile(configFile, JSON.stringify(config));
    backup = await startRestartable({
      program: 'docker-registry',
      args: ['serve', configFile],
      dir,
      isReady: async () => (await probe(`https://${host}/v2/`, { ca: tls.ca })) === 200,
    });
    source = await startRegistry();
    for (const tag of ['1', '2', '3']) await pushImage(source, `app:${tag}`);
    webhook = await startWebhook({
      env: {
        CLONER: 'registry',
        REGISTRY: host,
        REGISTRY_NAMESPACE: 'copies',
        REGISTRY_CA_FILE: caFile,
        REGISTRY_AUTH_DIR: await createAuthDir({ name: 'acme', password: 'pass' }),
        LOG_LEVEL: 'debug',
      },
    });
  });
  after(async () => {
    await webhook.stop();
    await Promise.all([source.stop(), backup.stop()]);
  });

  /** Creates a new CA and installs a certificate of it in the registry. */
  async function issue(): Promise<void> {
    tls = await createTls();
    await copyFile(tls.certFile, certFile);
    await copyFile(tls.keyFile, keyFile);
  }

  async function apply(tag: string): Promise<string> {
    const object = deployment({ web: `${source.host}/app:${tag}` });
    const answer = await webhook.review(review({ object }));
    const { allowed, status } = parseReviewResponse(answer.body);
    return allowed ? 'allowed' : (status?.message ?? '');
  }

  it('copies into a backup registry over https with a private CA', async () => {
    assert.equal(await apply('1'), 'allowed');
  });

  it('does not trust a backup registry with a certificate of another CA', async () => {
    await issue();
    await backup.stop();
    await backup.start();

    assert.match(
      await apply('2'),
      /^container "web": \S+: the backup registry \S+ cannot be reached for \S+: connecting to \S+: its certificate is from an unknown CA; add that CA to REGISTRY_CA_FILE$/,
    );
  });

  it('trusts the new CA without a restart after REGISTRY_CA_FILE changes', async () => {
    await writeFile(caFile, tls.ca);

    assert.equal(await apply('2'), 'allowed');
  });

  it('keeps the last valid CA when REGISTRY_CA_FILE becomes invalid', async () => {
    await writeFile(caFile, 'half a cert');

    assert.equal(await apply('3'), 'allowed');
    await webhook.waitForLog(
      ({ msg }) => msg === 'certificates cannot be read, the last valid ones stay in use',
    );
    const metrics = await webhook.get('/metrics');
    assert.match(metrics.body, /^image_cloner_stale_files\{variable="REGISTRY_CA_FILE"\} 1$/m);
    assert.match(metrics.body, /^image_cloner_stale_files\{variable="REGISTRY_AUTH_DIR"\} 0$/m);
  });
});
