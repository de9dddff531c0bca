import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openStage, type Stage } from '../../support/stage.ts';

const shop = 'docker-shop';

/** The relevant fields of the manifests of 2021. */
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

/** Copies through the socket of the node's docker daemon. */
describe('just deploy with CLONER=docker', () => {
  let stage: Stage;
  const more = { CLONER: 'docker', INSECURE_REGISTRIES: '', PULL_SECRETS: 'false' };

  before(async () => {
    stage = await openStage();
    await stage.prepare(more);
    // Makes the daemon pull the image.
    await stage.docker('rmi', stage.original);
  });
  after(async () => {
    await stage.tryJust(['undeploy', '--yes']);
    // Its label value is that of no later installation.
    await stage.kubectl(['delete', 'namespace', shop, '--wait=false']);
    await stage.close();
  });

  it('just deploy replaces the Go original with a webhook that copies through the docker socket', async () => {
    await stage.kubectl(['apply', '--filename=-'], goOriginal);

    const output = await stage.just('deploy', more);

    assert.match(
      output,
      /^Note: the Go version of image-cloner runs in default\. .*ADOPT_EXISTING=true/m,
    );
    assert.match(output, /kubectl -n default delete deployment,service image-cloner$/m);
    assert.match(output, /instead of image-cloner\.default\.svc/);
    const calledNamespace = await stage.kubectl([
      'get',
      'mutatingwebhookconfiguration',
      'image-cloner',
      '--output=jsonpath={.webhooks[0].clientConfig.service.namespace}',
    ]);
    assert.equal(calledNamespace, 'kourier-system');
    const names = await stage.kubectl([
      'get',
      'mutatingwebhookconfiguration',
      'image-cloner',
      '--output=jsonpath={.webhooks[*].name}',
    ]);
    assert.equal(names, 'image-cloner.kourier-system.svc edits.image-cloner.kourier-system.svc');
    // `just deploy` keeps objects of the Go original.
    await stage.kubectl(['get', 'deployment,service', 'image-cloner', '--namespace=default']);
    await stage.kubectl(['delete', 'deployment,service', 'image-cloner', '--namespace=default']);
    assert.doesNotMatch(output, /Warning/);
    assert.match(output, /a node has pulled \S+:5003\/backups\/\S+/);
  });

  it('runs a Deployment from the backup while the public registry is down, with CLONER=docker', async () => {
    // As the Go original had it.
    await stage.optIn(shop, 'enabled');
    await stage.run(shop, 'web');
    assert.match((await stage.stored(shop, 'web')).image, /:5003\/backups\/.*web.*:1\.0$/);

    await stage.source.stop();
    const before = await stage.pulls();
    await stage.kubectl(['rollout', 'restart', 'deployment/web', `--namespace=${shop}`]);
    await stage.waitForRollout(shop, 'web');

    assert.ok((await stage.pulls()) > before, 'the node has pulled from the backup');
    await stage.source.start();
  });

  it('just deploy changes from CLONER=docker to CLONER=registry', async () => {
    const output = await stage.just('deploy');

    assert.match(output, /image-cloner configured$/m);
    assert.doesNotMatch(output, /Warning/);
    await stage.docker('pull', stage.original);
    const another = await stage.pushAs('team/another:1.0');
    await stage.run(shop, 'another', another);
    assert.match((await stage.stored(shop, 'another')).image, /:5003\/backups\/.*another.*:1\.0$/);
  });
});
