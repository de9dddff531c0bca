import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createAuthDir } from '../../support/auth-dir.ts';
import { eventually } from '../../support/eventually.ts';
import { isBlobGet } from '../../support/gate.ts';
import { createTempDir } from '../../support/janitor.ts';
import { launchProcess } from '../../support/process.ts';
import { runProgram } from '../../support/program.ts';
import { openStage, own, pullSecret, type Stage, toDeployment, user } from '../../support/stage.ts';

const shop = 'life-shop';
const ofWebhook = '--selector=serving.knative.dev/service=image-cloner';

/** The lifecycle of the webhook in Knative. */
describe('the deployed webhook', () => {
  let stage: Stage;

  before(async () => {
    stage = await openStage();
    await stage.prepare();
    // The tests watch one pod.
    await stage.just('deploy', { MIN_SCALE: '1' });
    await stage.kubectl(['create', 'namespace', shop]);
    await stage.kubectl(['label', 'namespace', shop, 'image-cloner=image-cloner']);
  });
  after(async () => {
    await stage.tryJust(['undeploy', '--yes']);
    await stage.close();
  });

  async function pods(): Promise<readonly string[]> {
    const names = await stage.kubectl([
      'get',
      'pods',
      `--namespace=${own}`,
      ofWebhook,
      '--output=jsonpath={.items[*].metadata.name}',
    ]);
    return names.split(' ').filter((name) => name !== '');
  }

  it('lets a namespace pull from the backup after just pull-secret', async () => {
    const REGISTRY_AUTH_DIR = await createAuthDir(user);

    await stage.just(['pull-secret', shop], { REGISTRY_AUTH_DIR });

    await stage.run(shop, 'web');
    const type = await stage.kubectl([
      'get',
      'secret',
      pullSecret,
      `--namespace=${shop}`,
      '--output=jsonpath={.type}',
    ]);
    assert.equal(type, 'kubernetes.io/dockerconfigjson');
    const answer = await stage.kubectl([
      'auth',
      'can-i',
      'get',
      'secrets',
      `--namespace=${shop}`,
      `--as=system:serviceaccount:${own}:image-cloner`,
    ]);
    assert.equal(answer.trim(), 'yes');
  });

  it('the CronJob of monitoring/verify.yaml says that the workload would start', async () => {
    const { IMAGE = '' } = stage.env;
    const ofOwn = `--namespace=${own}`;
    await stage.kubectl(['apply', '--filename=knative/monitoring/verify.yaml']);
    const cronJob = 'cronjob/image-cloner-verify';
    await stage.kubectl(['set', 'image', cronJob, `verify=${IMAGE}`, ofOwn]);

    await stage.kubectl(['create', 'job', 'verify-now', `--from=${cronJob}`, ofOwn]);

    await stage.kubectl([
      'wait',
      '--for=condition=Complete',
      'job/verify-now',
      ofOwn,
      '--timeout=90s',
    ]);
    const log = await stage.kubectl(['logs', 'job/verify-now', ofOwn]);
    assert.match(log, /^\S+ +life-shop deployment\/web +whole +same$/m);
    assert.match(log, /^1 of 1 workload would start if every public registry were gone$/m);
    await stage.kubectl(['delete', '--filename=knative/monitoring/verify.yaml']);
  });

  it('the webhook finishes a running copy when its pod terminates', async () => {
    await stage.pushDistinct('team/slow:1.0');
    const gate = await stage.openGate();
    const image = `${gate.host}/team/slow:1.0`;
    const [pod = ''] = await pods();
    const dir = createTempDir('logs');
    const log = launchProcess({
      program: 'kubectl',
      args: ['logs', '--follow', pod, '--container=user-container', `--namespace=${own}`],
      dir,
      env: stage.env,
    });
    const held = gate.hold(isBlobGet);
    const applied = stage.tryKubectl(['create', '--filename=-'], toDeployment(shop, 'slow', image));
    await held.waiting();

    await stage.kubectl(['delete', 'pod', pod, '--wait=false', `--namespace=${own}`]);
    // Knative sends SIGTERM after half a minute without a request.
    await eventually('the webhook drains', () => log.stdout().includes('"draining"'), 90_000);
    held.release();

    const { code, stderr } = await applied;
    assert.equal(code, 0, stderr);
    await eventually('the webhook has drained', () => log.stdout().includes('"drained"'), 60_000);
    await log.stop();
    await stage.waitForRollout(shop, 'slow');
    const blobs = gate.requests(isBlobGet).map(({ path }) => path);
    assert.deepEqual(blobs.toSorted(), [...new Set(blobs)].toSorted(), 'each blob was read once');
    await gate.stop();
  });

  it('the webhook uses a new password of the backup without a restart', async () => {
    const before = await pods();
    const password = 'another/Pässword=1';
    await stage.changePassword(password);
    const REGISTRY_AUTH_DIR = await createAuthDir({ ...user, password });

    const yaml = await stage.kubectl([
      'create',
      'secret',
      'generic',
      'registry-auth',
      '--dry-run=client',
      '--output=json',
      `--from-file=${join(REGISTRY_AUTH_DIR, 'username')}`,
      `--from-file=${join(REGISTRY_AUTH_DIR, 'password')}`,
    ]);
    const { code, stderr } = await runProgram(
      'kubectl',
      ['apply', `--namespace=${own}`, '--filename=-'],
      { env: stage.env, stdin: yaml },
    );
    assert.equal(code, 0, stderr);
    await stage.just(['pull-secret', shop], { REGISTRY_AUTH_DIR });
    const another = await stage.pushAs('team/another:1.0');
    // The kubelet updates mounted files within two minutes. A dry run uploads nothing, so it needs no password.
    await eventually(
      'the backup accepts the new password',
      async () => {
        const deployment = toDeployment(shop, 'another', another);
        return (await stage.tryKubectl(['apply', '--filename=-'], deployment)).code === 0;
      },
      180_000,
    );

    await stage.run(shop, 'another', another);
    assert.deepEqual(await pods(), before);
  });

  it('the webhook answers the first review after scale to zero within the timeout of the API server', async (t) => {
    const annotations = {
      'autoscaling.knative.dev/min-scale': '0',
      'autoscaling.knative.dev/window': '6s',
      'autoscaling.knative.dev/scale-down-delay': '0s',
      'autoscaling.knative.dev/scale-to-zero-pod-retention-period': '0s',
    };
    const patch = JSON.stringify({ spec: { template: { metadata: { annotations } } } });
    const target = ['ksvc', 'image-cloner', `--namespace=${own}`];
    await stage.kubectl(['patch', ...target, '--type=merge', `--patch=${patch}`]);
    await stage.kubectl(['wait', '--for=condition=Ready', ...target, '--timeout=60s']);
    await eventually('no pod is left', async () => (await pods()).length === 0, 180_000);

    const startedAt = performance.now();
    await stage.kubectl(
      ['create', '--dry-run=server', '--filename=-'],
      toDeployment(shop, 'first', stage.original),
    );

    t.diagnostic(`answered after ${Math.round(performance.now() - startedAt)} ms, from zero`);
    assert.ok((await pods()).length > 0);
  });
});
