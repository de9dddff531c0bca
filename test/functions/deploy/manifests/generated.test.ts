import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { type Generated, readGenerated } from '../../../../functions/deploy/manifests/generated.ts';
import {
  type CertificateChain,
  createCertificateChain,
} from '../../../../lib/install/certificate.ts';
import { type InstallSettings, parseSettings } from '../../../../lib/install/settings.ts';
import { toTlsSecret } from '../../../../lib/install/tls-secret.ts';
import { toWebhookConfiguration } from '../../../../lib/install/webhook-configuration.ts';

const dayMs = 86_400_000;

describe('readGenerated', () => {
  let outDir: string;
  let settings: InstallSettings;
  let chain: CertificateChain;

  beforeEach(async () => {
    outDir = await mkdtemp(join(tmpdir(), 'generated-'));
    settings = parseSettings({ OUT_DIR: outDir });
    chain = await createCertificateChain({ hosts: settings.hosts, now: new Date() });
    await write('tls-secret.yaml', toTlsSecret(settings, chain));
    await write('webhook.yaml', toWebhookConfiguration(settings, chain.ca));
  });
  afterEach(async () => {
    await rm(outDir, { recursive: true });
  });

  async function write(name: string, object: unknown): Promise<void> {
    await writeFile(join(outDir, name), stringify(object));
  }

  async function read(env: Readonly<Record<string, string>> = {}): Promise<Generated> {
    return await readGenerated(parseSettings({ OUT_DIR: outDir, ...env }));
  }

  async function refuses(problem: RegExp, env?: Readonly<Record<string, string>>): Promise<void> {
    await assert.rejects(read(env), ({ problems: [said = ''] }: { problems: string[] }) => {
      assert.ok(said.startsWith(`${outDir}/ is of no use here: `), said);
      assert.ok(said.endsWith('; run "just gen"'), said);
      assert.match(said, problem);
      return true;
    });
  }

  it('takes what belongs together', async () => {
    assert.match((await read()).webhook, /kind: MutatingWebhookConfiguration/);
  });

  it('says what it would be by now where settings have changed since', async () => {
    assert.deepEqual((await read()).notes, []);

    const { notes } = await read({
      WORKLOADS: 'deployments',
      FAILURE_POLICY: 'Ignore',
      WEBHOOK_PATH: '/other',
      REGISTRY: 'registry.example.com',
      REGISTRY_NAMESPACE: 'backups',
    });

    assert.deepEqual(notes, [
      `${outDir}/webhook.yaml is not what "just gen" would write now (failurePolicy, rules, matchConditions, clientConfig), and is used as it is: run "just gen" first if a setting has changed`,
    ]);
  });

  it('wants all of it', async () => {
    await rm(join(outDir, 'tls-secret.yaml'));

    await assert.rejects(read(), {
      problems: [`${outDir}/ is not complete: run "just gen" first`],
    });
  });

  it('sees that it is for other names', async () => {
    await refuses(/it is for image-cloner behind the Service image-cloner in kourier-system/, {
      NAME: 'other',
    });
    // Name and Service of the webhook configuration are the same there.
    await refuses(/its Secret is image-cloner-tls in image-cloner, and not in tools/, {
      NAMESPACE: 'tools',
    });
  });

  it('sees that the certificate is not of the CA that would be trusted: "just gen" was killed in between', async () => {
    const { hosts } = settings;
    const next = await createCertificateChain({ hosts, now: new Date() });
    await write('tls-secret.yaml', toTlsSecret(settings, next));

    await refuses(/its certificate is not of the CA in webhook\.yaml/);
  });

  it('sees that the key is another one’s', async () => {
    const next = await createCertificateChain({ hosts: settings.hosts, now: new Date() });
    await write('tls-secret.yaml', toTlsSecret(settings, { ...chain, key: next.key }));

    await refuses(/its key is not the certificate's/);
  });

  it('sees that the certificate has expired', async () => {
    const now = new Date(Date.now() - 366 * dayMs);
    const old = await createCertificateChain({ hosts: settings.hosts, now });
    await write('tls-secret.yaml', toTlsSecret(settings, old));
    await write('webhook.yaml', toWebhookConfiguration(settings, old.ca));

    await refuses(/its certificate was good until /);
  });
});
