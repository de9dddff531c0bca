import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ProgramResult } from '../../support/program.ts';
import { openStage, own, type Stage, toDeployment } from '../../support/stage.ts';

const shop = 'direct-shop';
const direct = { WIRING: 'direct' };

/** The other wiring: https in the pod, past Knative's gateway. */
describe('just deploy with WIRING=direct', () => {
  let stage: Stage;

  before(async () => {
    stage = await openStage();
    await stage.prepare(direct);
  });
  after(async () => {
    await stage.tryJust('undeploy');
    await stage.close();
  });

  async function dryRun(): Promise<ProgramResult> {
    const deployment = toDeployment(shop, 'dry', stage.original);
    return await stage.tryKubectl(['create', '--dry-run=server', '--filename=-'], deployment);
  }

  /** Where the API server finds the webhook. */
  async function called(): Promise<string> {
    return await stage.kubectl([
      'get',
      'mutatingwebhookconfiguration',
      'image-cloner',
      '--output=jsonpath={.webhooks[0].clientConfig.service.name}.{.webhooks[0].clientConfig.service.namespace}',
    ]);
  }

  it('needs no gateway, and registers the webhook at the pods', async () => {
    const said = await stage.just('deploy', direct);

    assert.doesNotMatch(said, /Warning|domainmapping/);
    assert.match(said, /answered\na node has pulled \S+:5003\/backups\/\S+/);
    assert.equal(await called(), 'image-cloner-webhook.image-cloner');
    const status = await stage.just('status', direct);
    assert.match(status, /ok {2}last review +answered/);
    assert.doesNotMatch(status, /https name/);
    assert.equal(await stage.kubectl(['get', 'domainmappings', '-A', '--output=name']), '');
  });

  it('lets a Deployment run from the backup', async () => {
    await stage.optIn(shop);

    await stage.run(shop, 'web');

    assert.match((await stage.stored(shop, 'web')).image, /:5003\/backups\/.*web.*:1\.0$/);
  });

  it('changes nothing the second time', async () => {
    const said = await stage.just('deploy', direct);

    assert.doesNotMatch(said, / (created|configured)$/m);
  });

  it('replaces the certificates while the webhook is asked, though the kubelet takes its time', async () => {
    await stage.just('gen', direct);
    const over = new AbortController();
    const asked = (async () => {
      const refused: string[] = [];
      while (!over.signal.aborted) {
        const { code, stderr } = await dryRun();
        if (code !== 0) refused.push(stderr);
      }
      return refused;
    })();

    await stage.just('deploy', direct).finally(() => over.abort());

    assert.deepEqual(await asked, []);
  });

  it('becomes WIRING=gateway by another gen and deploy, and nothing of the old way is left', async () => {
    await stage.just('gen');

    const said = await stage.just('deploy');

    assert.match(said, /instead of image-cloner-webhook\.image-cloner\.svc/);
    assert.equal(await called(), 'image-cloner.kourier-system');
    const left = await stage.kubectl([
      'get',
      'service,networkpolicy',
      `--namespace=${own}`,
      '--output=name',
    ]);
    assert.doesNotMatch(left, /image-cloner-webhook/);
    await stage.run(shop, 'moved');
    const { code, stdout } = await stage.tryJust('status', direct);
    assert.equal(code, 1);
    assert.match(
      stdout,
      /^-- +webhook +.* calls image-cloner\.kourier-system\.svc, not image-cloner-webhook\.image-cloner\.svc/m,
    );
  });

  it('is taken out by just undeploy, whatever wiring it is told', async () => {
    await stage.just('undeploy', direct);

    const left = await stage.kubectl([
      'get',
      'domainmappings,clusterdomainclaims,mutatingwebhookconfigurations,services',
      '-A',
      '--output=name',
    ]);
    assert.doesNotMatch(left.replace(/service\/image-cloner-0000\S*/g, ''), /image-cloner/);
  });
});
