import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { eventually } from '../../support/eventually.ts';
import { openStage, own, type Stage } from '../../support/stage.ts';

const shop = 'deployment-shop';
const serving = { SERVING: 'deployment' };

/** A Deployment instead of a Knative Service. */
describe('just deploy with SERVING=deployment', () => {
  let stage: Stage;

  before(async () => {
    stage = await openStage();
    await stage.prepare();
  });
  after(async () => {
    await stage.tryJust(['undeploy', '--yes']);
    await stage.close();
  });

  async function list(...kinds: readonly string[]): Promise<string> {
    return await stage.kubectl(['get', kinds.join(','), `--namespace=${own}`, '--output=name']);
  }

  it('just deploy with SERVING=deployment registers a Deployment of two pods without Knative', async () => {
    const output = await stage.just('deploy', serving);

    assert.doesNotMatch(output, /Warning|domainmapping|serving\.knative/);
    assert.match(output, /answered\na node has pulled \S+:5003\/backups\/\S+/);
    const status = await stage.just('status');
    assert.match(status, /^ok {2}Deployment +ready$/m);
    assert.match(status, /^ok {2}pods +2 of 2 ready$/m);
    assert.match(await list('poddisruptionbudgets'), /image-cloner/);
    // Also on a cluster that does not know the kind.
    const services = ['get', 'services.serving.knative.dev', `--namespace=${own}`, '--output=name'];
    assert.equal((await stage.tryKubectl(services)).stdout, '');
  });

  it('runs a workload from the backup with SERVING=deployment', async () => {
    await stage.optIn(shop);

    await stage.run(shop, 'web');

    assert.match((await stage.stored(shop, 'web')).image, /:5003\/backups\/.*web.*:1\.0$/);
    assert.match(await stage.just('status'), /^ok {2}namespace deployment-shop +writes pass$/m);
  });

  it('just deploy with SERVING=deployment changes nothing a second time, without its variables', async () => {
    const { code, stdout, stderr } = await stage.newShell('deploy');

    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stdout, / (created|configured)$/m);
  });

  it('refuses no write while its pods are replaced', async () => {
    const over = new AbortController();
    const refusals = (async () => {
      const refused: string[] = [];
      while (!over.signal.aborted) {
        const { code, stderr } = await stage.tryKubectl([
          'annotate',
          'deployment/web',
          `--namespace=${shop}`,
          '--overwrite',
          '--dry-run=server',
          `image-cloner/backfill=${Date.now()}`,
        ]);
        if (code !== 0) refused.push(stderr);
      }
      return refused;
    })();

    await stage.just('deploy', { MAX_CLONES: '5' }).finally(() => over.abort());

    assert.deepEqual(await refusals, []);
  });

  it('just deploy with SERVING=knative replaces the Deployment', async () => {
    const output = await stage.just('deploy', { SERVING: 'knative' });

    assert.match(output, /deployment\.apps "image-cloner" deleted/);
    await stage.run(shop, 'moved');
    await eventually('status is good', async () => (await stage.tryJust('status')).code === 0);
  });

  it('just undeploy removes everything that SERVING=deployment made', async () => {
    await stage.just('deploy', serving);

    await stage.just(['undeploy', '--yes']);

    const left = await list('deployments', 'services', 'poddisruptionbudgets', 'networkpolicies');
    assert.equal(left, '');
  });
});
