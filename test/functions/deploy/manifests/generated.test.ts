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

  async function assertProblem(
    problem: RegExp,
    env?: Readonly<Record<string, string>>,
  ): Promise<void> {
    await assert.rejects(read(env), ({ problems: [message = ''] }: { problems: string[] }) => {
      assert.ok(message.startsWith(`${outDir}/ does not fit this installation: `), message);
      assert.ok(message.endsWith('; run "just gen"'), message);
      assert.match(message, problem);
      return true;
    });
  }

  it('reads generated files that fit the installation', async () => {
    assert.match((await read()).webhook, /kind: MutatingWebhookConfiguration/);
  });

  it('notes the fields of webhook.yaml that differ from the settings', async () => {
    assert.deepEqual((await read()).notes, []);

    const { notes } = await read({
      WORKLOADS: 'deployments',
      FAILURE_POLICY: 'Ignore',
      WEBHOOK_PATH: '/other',
      REGISTRY: 'registry.example.com',
      REGISTRY_NAMESPACE: 'backups',
    });

    assert.deepEqual(notes, [
      `${outDir}/webhook.yaml differs from what "just gen" would write now (failurePolicy, rules, matchConditions, clientConfig) and is used unchanged: run "just gen" first if a setting has changed`,
    ]);
  });

  it('rejects an incomplete set of generated files', async () => {
    await rm(join(outDir, 'tls-secret.yaml'));

    await assert.rejects(read(), {
      problems: [`${outDir}/ is not complete: run "just gen" first`],
    });
  });

  it('rejects generated files of another installation', async () => {
    await assertProblem(
      /webhook\.yaml is for image-cloner behind the Service image-cloner in kourier-system/,
      {
        NAME: 'other',
      },
    );
    // The webhook configuration has no namespace of its own to compare.
    await assertProblem(
      /tls-secret\.yaml is for image-cloner-tls in image-cloner, not for image-cloner-tls in tools/,
      {
        NAMESPACE: 'tools',
      },
    );
  });

  it('rejects a certificate from another CA than that of webhook.yaml', async () => {
    const { hosts } = settings;
    const next = await createCertificateChain({ hosts, now: new Date() });
    await write('tls-secret.yaml', toTlsSecret(settings, next));

    await assertProblem(/the certificate in tls-secret\.yaml is not from the CA in webhook\.yaml/);
  });

  it('rejects a TLS key that does not belong to its certificate', async () => {
    const next = await createCertificateChain({ hosts: settings.hosts, now: new Date() });
    await write('tls-secret.yaml', toTlsSecret(settings, { ...chain, key: next.key }));

    await assertProblem(/the key in tls-secret\.yaml does not belong to its certificate/);
  });

  it('rejects an expired certificate', async () => {
    const now = new Date(Date.now() - 366 * dayMs);
    const old = await createCertificateChain({ hosts: settings.hosts, now });
    await write('tls-secret.yaml', toTlsSecret(settings, old));
    await write('webhook.yaml', toWebhookConfiguration(settings, old.ca));

    await assertProblem(/the certificate in tls-secret\.yaml expired at /);
  });
});
