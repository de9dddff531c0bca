import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { render } from '../../../functions/deploy/render.ts';
import { parseDeployEnv } from '../../support/deploy-settings.ts';

const env = {
  IMAGE: 'registry.example.com/tools/image-cloner:1',
  CLONER: 'registry',
  REGISTRY: 'registry.example.com',
  REGISTRY_NAMESPACE: 'backups',
};

async function readGolden(name: string): Promise<string> {
  return await readFile(join(import.meta.dirname, 'rendered', name), 'utf8');
}

describe('render', () => {
  // After a change that is meant: npx just render, and read the difference.
  it('render prints the default installation as in rendered/default.yaml', async () => {
    const text = await render(parseDeployEnv(env), { withoutCa: true });

    assert.equal(text, await readGolden('default.yaml'));
  });

  it('render puts the webhook configuration last, without a CA', async () => {
    const text = await render(parseDeployEnv(env), { withoutCa: true });

    const last = parseAllDocuments(text).at(-1);
    assert.equal(last?.get('kind'), 'MutatingWebhookConfiguration');
    assert.equal(last?.hasIn(['webhooks', 0, 'clientConfig', 'caBundle']), false);
    assert.equal(last?.getIn(['webhooks', 0, 'clientConfig', 'service', 'name']), 'image-cloner');
  });

  it('render refuses to print a CA that would be put back after a renewal', async () => {
    for (const CERTIFICATES of ['renew', 'files']) {
      await assert.rejects(render(parseDeployEnv({ ...env, CERTIFICATES }), { withoutCa: false }), {
        name: 'ConfigError',
        message: /^render needs CERTIFICATES=cert-manager, or --without-ca/,
      });
    }
  });

  it('render with CERTIFICATES=cert-manager has its objects and lets it write the CA', async () => {
    const settings = parseDeployEnv({ ...env, CERTIFICATES: 'cert-manager' });

    const documents = parseAllDocuments(await render(settings, { withoutCa: false }));

    const issued = documents.filter((each) => each.get('apiVersion') === 'cert-manager.io/v1');
    assert.deepEqual(
      issued.map((each) => [each.get('kind'), each.getIn(['metadata', 'name'])].join(' ')),
      [
        'Issuer image-cloner-root',
        'Certificate image-cloner-ca',
        'Issuer image-cloner-ca',
        'Certificate image-cloner-tls',
      ],
    );
    const annotation = ['metadata', 'annotations', 'cert-manager.io/inject-ca-from'];
    assert.equal(documents.at(-1)?.getIn(annotation), 'image-cloner/image-cloner-tls');
    assert.ok(documents.every((each) => each.get('kind') !== 'CronJob'));
  });

  it('render names the Secrets that must exist, and has none itself', async () => {
    const text = await render(
      parseDeployEnv({
        ...env,
        SOURCE_AUTH_FILE: '/files/config.json',
        BACKUP_PULL_SECRET: 'regcred',
      }),
      { withoutCa: true },
    );

    const [head = ''] = text.split('# Do not');
    assert.equal(
      head,
      `# Secrets that are not here, in image-cloner if nothing else is said:
# - registry-auth with username and password of the backup
# - image-cloner-files with config.json
# - image-cloner-tls, which "image-cloner renew" creates
# - regcred in each namespace of workloads ("image-cloner pull-secret")
`,
    );
    assert.doesNotMatch(text, /^kind: Secret$/m);
  });
});
