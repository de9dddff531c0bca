import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ProgramResult } from '../../support/program.ts';
import { openStage, own, type Stage, toDeployment } from '../../support/stage.ts';

const shop = 'direct-shop';
const direct = { WIRING: 'direct' };

/** HTTPS in the pod, without Knative's gateway. */
describe('just deploy with WIRING=direct', () => {
  let stage: Stage;

  before(async () => {
    stage = await openStage();
    await stage.prepare(direct);
  });
  after(async () => {
    await stage.tryJust(['undeploy', '--yes']);
    await stage.close();
  });

  async function dryRun(): Promise<ProgramResult> {
    const deployment = toDeployment(shop, 'dry', stage.original);
    return await stage.tryKubectl(['create', '--dry-run=server', '--filename=-'], deployment);
  }

  /** The Service that the webhook configuration calls. */
  async function readCalledService(): Promise<string> {
    return await stage.kubectl([
      'get',
      'mutatingwebhookconfiguration',
      'image-cloner',
      '--output=jsonpath={.webhooks[0].clientConfig.service.name}.{.webhooks[0].clientConfig.service.namespace}',
    ]);
  }

  it('just deploy with WIRING=direct registers a Service in front of the pods, without a gateway', async () => {
    const output = await stage.just('deploy', direct);

    assert.doesNotMatch(output, /Warning|domainmapping/);
    assert.match(output, /answered\na node has pulled \S+:5003\/backups\/\S+/);
    assert.equal(await readCalledService(), 'image-cloner-webhook.image-cloner');
    const status = await stage.just('status', direct);
    assert.match(status, /ok {2}last review +answered/);
    assert.doesNotMatch(status, /DomainMapping/);
    assert.equal(await stage.kubectl(['get', 'domainmappings', '-A', '--output=name']), '');
  });

  it('runs a Deployment from the backup with WIRING=direct', async () => {
    await stage.optIn(shop);

    await stage.run(shop, 'web');

    assert.match((await stage.stored(shop, 'web')).image, /:5003\/backups\/.*web.*:1\.0$/);
  });

  it('just deploy with WIRING=direct changes nothing a second time', async () => {
    const output = await stage.just('deploy', direct);

    assert.doesNotMatch(output, / (created|configured)$/m);
  });

  it('just gen deploy replaces the certificates of the pods without rejecting a review', async () => {
    await stage.just('gen', direct);
    const over = new AbortController();
    const rejections = (async () => {
      const rejected: string[] = [];
      while (!over.signal.aborted) {
        const { code, stderr } = await dryRun();
        if (code !== 0) rejected.push(stderr);
      }
      return rejected;
    })();

    await stage.just('deploy', { ...direct, CERTIFICATES: 'files' }).finally(() => over.abort());

    assert.deepEqual(await rejections, []);
  });

  it('just deploy changes from WIRING=direct to WIRING=gateway and removes the old route', async () => {
    const output = await stage.just('deploy', { WIRING: 'gateway', CERTIFICATES: 'renew' });

    assert.match(output, /instead of image-cloner-webhook\.image-cloner\.svc/);
    assert.equal(await readCalledService(), 'image-cloner.kourier-system');
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
      /^-- +webhook +.* calls image-cloner\.kourier-system\.svc; differs from the settings \(name, clientConfig\)/m,
    );
  });

  it('just deploy changes from WIRING=gateway to WIRING=direct while pods of the earlier Revision run on', async () => {
    await stage.just('deploy', direct);

    const pods = await stage.kubectl([
      'get',
      'pods',
      `--namespace=${own}`,
      '--selector=serving.knative.dev/service=image-cloner,!image-cloner/wiring',
      '--output=name',
    ]);
    assert.match(pods, /^pod\//);
    for (let review = 0; review < 10; review += 1) {
      const { code, stderr } = await dryRun();
      assert.equal(code, 0, stderr);
    }
    assert.equal(await readCalledService(), 'image-cloner-webhook.image-cloner');
  });

  it('removes the routes of both wirings with just undeploy', async () => {
    await stage.just(['undeploy', '--yes'], direct);

    const left = await stage.kubectl([
      'get',
      'domainmappings,clusterdomainclaims,mutatingwebhookconfigurations,services',
      '-A',
      '--output=name',
    ]);
    assert.doesNotMatch(left.replace(/service\/image-cloner-0000\S*/g, ''), /image-cloner/);
  });
});
