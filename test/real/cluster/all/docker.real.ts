import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openStage, type Stage } from '../../support/stage.ts';

const shop = 'docker-shop';

/** As the manifests of 2021 had it, as far as it matters here. */
const goOriginal = {
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'image-cloner', namespace: 'default' },
      spec: {
        replicas: 0,
        selector: { matchLabels: { app: 'image-cloner' } },
        template: {
          metadata: { labels: { app: 'image-cloner' } },
          spec: { containers: [{ name: 'image-cloner', image: 'image-cloner:v1' }] },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'image-cloner', namespace: 'default' },
      spec: { selector: { app: 'image-cloner' }, ports: [{ port: 443, targetPort: 8443 }] },
    },
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'image-cloner' },
      webhooks: [
        {
          name: 'image-cloner.default.svc',
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          namespaceSelector: { matchLabels: { 'image-cloner': 'enabled' } },
          rules: [
            {
              operations: ['CREATE', 'UPDATE'],
              apiGroups: ['apps'],
              apiVersions: ['v1'],
              resources: ['deployments', 'daemonsets'],
            },
          ],
          clientConfig: {
            service: { name: 'image-cloner', namespace: 'default', path: '/clone-image' },
          },
        },
      ],
    },
  ],
};

/** The other variant: the node's docker daemon, by its socket. */
describe('just deploy with CLONER=docker', () => {
  let stage: Stage;
  const more = { CLONER: 'docker', INSECURE_REGISTRIES: '', PULL_SECRETS: 'false' };

  before(async () => {
    stage = await openStage();
    await stage.prepare(more);
    // What the daemon has, it would not have to pull.
    await stage.docker('rmi', stage.original);
  });
  after(async () => {
    await stage.tryJust('undeploy');
    await stage.close();
  });

  it('brings up a webhook that copies through the socket, in the place of the Go original', async () => {
    await stage.kubectl(['apply', '--filename=-'], goOriginal);

    const said = await stage.just('deploy', more);

    assert.match(
      said,
      /^Note: the image-cloner of before runs in default\. .*ADOPT_EXISTING=true/m,
    );
    assert.match(said, /kubectl -n default delete deployment,service image-cloner$/m);
    assert.match(said, /instead of image-cloner\.default\.svc/);
    const called = await stage.kubectl([
      'get',
      'mutatingwebhookconfiguration',
      'image-cloner',
      '--output=jsonpath={.webhooks[*].clientConfig.service.namespace}',
    ]);
    assert.equal(called, 'kourier-system');
    // It is not ours to remove.
    await stage.kubectl(['get', 'deployment,service', 'image-cloner', '--namespace=default']);
    await stage.kubectl(['delete', 'deployment,service', 'image-cloner', '--namespace=default']);
    assert.doesNotMatch(said, /Warning/);
    assert.match(said, /a node has pulled \S+:5003\/backups\/\S+/);
  });

  it('lets a Deployment run from the backup, also when the public registry is gone', async () => {
    await stage.optIn(shop);
    await stage.run(shop, 'web');
    assert.match((await stage.stored(shop, 'web')).image, /:5003\/backups\/.*web.*:1\.0$/);

    await stage.source.stop();
    const before = await stage.pulls();
    await stage.kubectl(['rollout', 'restart', 'deployment/web', `--namespace=${shop}`]);
    await stage.waitForRollout(shop, 'web');

    assert.ok((await stage.pulls()) > before, 'the node has pulled from the backup');
    await stage.source.start();
  });

  it('becomes CLONER=registry by another deploy', async () => {
    const said = await stage.just('deploy');

    assert.match(said, /image-cloner configured$/m);
    assert.doesNotMatch(said, /Warning/);
    await stage.docker('pull', stage.original);
    const another = await stage.pushAs('team/another:1.0');
    await stage.run(shop, 'another', another);
    assert.match((await stage.stored(shop, 'another')).image, /:5003\/backups\/.*another.*:1\.0$/);
  });
});
