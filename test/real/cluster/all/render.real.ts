import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { createTempDir } from '../../support/janitor.ts';
import { openStage, own, type Stage } from '../../support/stage.ts';

const shop = 'render-shop';
const settings = { SERVING: 'deployment' };

/** What a GitOps controller does with the output of `render`. */
describe('just render', () => {
  let stage: Stage;
  let rendered = '';

  before(async () => {
    stage = await openStage();
    await stage.prepare();
    rendered = join(createTempDir('rendered'), 'image-cloner.yaml');
  });
  after(async () => {
    await stage.tryJust(['undeploy', '--yes']);
    await stage.close();
  });

  async function render(): Promise<void> {
    await writeFile(rendered, await stage.just(['render', '--without-ca'], settings));
  }

  async function readBundle(): Promise<string> {
    const output = '--output=jsonpath={.webhooks[*].clientConfig.caBundle}';
    return await stage.kubectl(['get', 'mutatingwebhookconfiguration', 'image-cloner', output]);
  }

  it('kubectl apply of the rendered output installs the webhook, and one run of the renewal makes its certificate', async () => {
    await render();

    await stage.kubectl(['apply', `--filename=${rendered}`]);
    const ofOwn = `--namespace=${own}`;
    await stage.kubectl(['create', 'job', 'first', ofOwn, '--from=cronjob/image-cloner-renewal']);
    await stage.kubectl(['wait', '--for=condition=Complete', 'job/first', ofOwn, '--timeout=2m']);

    const args = ['rollout', 'status', 'deployment/image-cloner', ofOwn, '--timeout=3m'];
    await stage.kubectl(args);
    await stage.optIn(shop);
    await eventually(
      'a write is reviewed',
      async () => {
        const { code, stdout } = await stage.newShell('status');
        return code === 0 || /^ok {2}namespace render-shop +writes pass$/m.test(stdout);
      },
      180_000,
    );
    await stage.run(shop, 'web');
    assert.match((await stage.stored(shop, 'web')).image, /:5003\/backups\/.*web.*:1\.0$/);
  });

  it('just deploy on a rendered installation changes only what it tests itself', async () => {
    const bundle = await readBundle();

    const { code, stdout, stderr } = await stage.newShell('deploy');

    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stdout, / created$/m);
    assert.equal(await readBundle(), bundle);
    assert.equal((await stage.newShell('status')).code, 0);
  });

  it('kubectl apply of the rendered output after just deploy changes nothing, and keeps the CA', async () => {
    await render();
    const bundle = await readBundle();
    assert.notEqual(bundle, '');

    const { stdout } = await stage.tryKubectl(['diff', `--filename=${rendered}`]);
    await stage.kubectl(['apply', `--filename=${rendered}`]);

    assert.doesNotMatch(stdout, /caBundle|image-cloner\/proved/);
    assert.equal(await readBundle(), bundle);
    await stage.run(shop, 'again');
  });
});
