import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as v from 'valibot';
import { parseDocument } from 'yaml';
import { eventually } from '../support/eventually.ts';
import { createTempDir } from '../support/janitor.ts';
import type { ProgramResult } from '../support/program.ts';
import { openStage, own, type Stage, toDeployment, user } from '../support/stage.ts';

const shop = 'shop';

const versionsSchema = v.object({
  items: v.array(
    v.object({
      kind: v.string(),
      metadata: v.object({
        name: v.string(),
        generation: v.optional(v.number()),
        resourceVersion: v.string(),
      }),
    }),
  ),
});

/** All kinds of objects that `just deploy` creates, and those that Knative derives from them. */
const kinds = [
  'mutatingwebhookconfigurations',
  'namespaces',
  'serviceaccounts',
  'secrets',
  'roles.rbac.authorization.k8s.io',
  'rolebindings.rbac.authorization.k8s.io',
  'networkpolicies.networking.k8s.io',
  'services',
  'deployments.apps',
  'pods',
  'configmaps',
  'services.serving.knative.dev',
  'configurations.serving.knative.dev',
  'routes.serving.knative.dev',
  'revisions.serving.knative.dev',
  'domainmappings.serving.knative.dev',
  'clusterdomainclaims.networking.internal.knative.dev',
  'ingresses.networking.internal.knative.dev',
];

function toRegistryAuth(password: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'registry-auth', namespace: own },
    stringData: { username: user.name, password },
  };
}

/** The registry adapter behind Knative's gateway. */
describe('just deploy', () => {
  let stage: Stage;
  let asBefore: readonly string[];

  before(async () => {
    stage = await openStage();
  });
  after(async () => {
    await stage.close();
  });

  async function dryRun(): Promise<ProgramResult> {
    const deployment = toDeployment(shop, 'dry', stage.original);
    return await stage.tryKubectl(['create', '--dry-run=server', '--filename=-'], deployment);
  }

  async function repeatUntil<Answer>(
    signal: AbortSignal,
    request: () => Promise<Answer>,
  ): Promise<readonly Answer[]> {
    const answers = [];
    while (!signal.aborted) answers.push(await request());
    return answers;
  }

  /** Kind, namespace and name of every object. */
  async function everything(): Promise<readonly string[]> {
    const all = await stage.kubectl([
      'get',
      kinds.join(),
      '--all-namespaces',
      '--no-headers',
      '--output=custom-columns=K:.kind,NS:.metadata.namespace,N:.metadata.name',
    ]);
    return all
      .split('\n')
      .map((line) => line.trim().replace(/ +/g, ' '))
      .filter((line) => line !== '')
      .toSorted();
  }

  /** The generation by kind and name, or the resourceVersion of objects without one. */
  async function versions(): Promise<Readonly<Record<string, string>>> {
    const lists = await Promise.all([
      stage.kubectl(['get', 'mutatingwebhookconfiguration', '--output=json']),
      stage.kubectl([
        'get',
        'ksvc,revision,domainmapping,serviceaccount,secret,role,rolebinding,networkpolicy',
        `--namespace=${own}`,
        '--output=json',
      ]),
      stage.kubectl(['get', 'clusterdomainclaim', '--output=json']),
      stage.kubectl(['get', 'service', '--namespace=kourier-system', '--output=json']),
    ]);
    const items = lists.flatMap((list) => v.parse(versionsSchema, JSON.parse(list)).items);
    return Object.fromEntries(
      items.map(({ kind, metadata: { name, generation, resourceVersion } }) => [
        `${kind}/${name}`,
        String(generation ?? resourceVersion),
      ]),
    );
  }

  async function settings(): Promise<Readonly<Record<string, string>>> {
    const args = ['get', 'configmap', 'image-cloner-settings', `--namespace=${own}`];
    const map: unknown = JSON.parse(await stage.kubectl([...args, '--output=json']));
    return v.parse(v.object({ data: v.record(v.string(), v.string()) }), map).data;
  }

  it('just deploy lists all missing requirements at once and changes nothing', async () => {
    await stage.kubectl(['create', 'namespace', own]);
    await stage.kubectl(['label', 'namespace', own, 'image-cloner=image-cloner']);
    await stage.kubectl([
      'create',
      'secret',
      'generic',
      'registry-auth',
      `--namespace=${own}`,
      '--from-literal=username=acme',
      '--from-literal=password=',
    ]);
    await stage.kubectl([
      'create',
      'service',
      'clusterip',
      own,
      `--namespace=${own}`,
      '--tcp=443:8443',
    ]);
    const before = await everything();

    const { code, stderr } = await stage.tryJust('deploy', {
      SERVICE_NAMESPACE: 'gateways',
      SOURCE_AUTH_FILE: '/files/config.json',
    });

    assert.notEqual(code, 0);
    assert.match(
      stderr,
      /registry-auth in image-cloner must hold .*; password is missing or empty/,
    );
    assert.match(stderr, /image-cloner-files in image-cloner has no config\.json/);
    assert.match(stderr, /no pod with app=3scale-kourier-gateway is ready in gateways/);
    assert.match(
      stderr,
      /has the label image-cloner=image-cloner, so the webhook would need itself/,
    );
    assert.match(
      stderr,
      /the Service image-cloner in image-cloner exists, but Knative creates one/,
    );
    assert.match(stderr, /nothing was changed/);
    assert.doesNotMatch(stderr, /no permission/);
    assert.deepEqual(await everything(), before);
    await stage.kubectl(['delete', 'namespace', own]);
  });

  it('just deploy lists the permissions that the current user lacks', async () => {
    const kubeconfig = parseDocument(await readFile(stage.env['KUBECONFIG'] ?? '', 'utf8'));
    kubeconfig.setIn(['users', 0, 'user', 'as'], 'system:serviceaccount:default:default');
    const KUBECONFIG = join(createTempDir('nobody'), 'kubeconfig');
    await writeFile(KUBECONFIG, String(kubeconfig));

    const { code, stderr } = await stage.tryJust('deploy', { KUBECONFIG });

    assert.notEqual(code, 0);
    const verbs = 'no permission to get, create, patch, delete';
    for (const kind of [
      'services.serving.knative.dev in image-cloner',
      'domainmappings.serving.knative.dev in image-cloner',
      'clusterdomainclaims.networking.internal.knative.dev',
      'services in kourier-system',
      'secrets in image-cloner',
      'rolebindings.rbac.authorization.k8s.io in image-cloner',
      'mutatingwebhookconfigurations.admissionregistration.k8s.io',
    ]) {
      assert.ok(stderr.includes(`${verbs} ${kind}: deploy as another user`), stderr);
    }
    assert.match(stderr, /nothing was changed/);
  });

  it('just deploy does not register the webhook if no node can pull its copies', async () => {
    await stage.prepare();
    asBefore = await everything();

    const { code, stderr } = await stage.tryJust('deploy', { BACKUP_PULL_SECRET: '' });

    assert.notEqual(code, 0);
    assert.match(stderr, /a node cannot pull \S+:5003\/backups\/\S*image-cloner\S*:v1: /);
    assert.match(stderr, /the nodes may not read the backup: set BACKUP_PULL_SECRET/);
    assert.match(stderr, /The webhook is not registered: no write in the cluster waits for it/);
    const left = await stage.kubectl(['get', 'mutatingwebhookconfigurations', '--output=name']);
    assert.doesNotMatch(left, /image-cloner/);
  });

  it('just deploy suggests credentials or PROBE_IMAGE if the webhook cannot read the image of the smoke test', async () => {
    const PROBE_IMAGE = `${stage.source.host}/team/none:1`;

    const { code, stderr } = await stage.tryJust('deploy', { PROBE_IMAGE });

    assert.notEqual(code, 0);
    assert.match(
      stderr,
      /denied the request: container "image-cloner-probe": \S*team\/none:1 does not/,
    );
    assert.match(stderr, /if the webhook cannot read \S+\/none:1: .* set PROBE_IMAGE to an image/);
    assert.match(stderr, /The webhook is not registered/);
  });

  it('just deploy installs the built image and registers the webhook last', async () => {
    const output = await stage.just('deploy');

    assert.doesNotMatch(output, /Warning/);
    assert.match(
      output,
      /answered\na node has pulled \S+:5003\/backups\/\S+\n== settings\n.*\n== webhook configuration/,
    );
    const status = await stage.just('status');
    assert.match(status, /ok {2}webhook +registered, failurePolicy Fail/);
    assert.match(status, /ok {2}certificate +valid for 36\d days/);
    assert.match(status, /ok {2}last review +answered \d+ s ago/);
    assert.match(status, /ok {2}backup +up/);
  });

  it('runs a Deployment of an opted-in namespace from the backup', async () => {
    await stage.optIn(shop);

    await stage.run(shop, 'web');

    const { image, annotations } = await stage.stored(shop, 'web');
    assert.match(image, /:5003\/backups\/.*web.*:1\.0$/);
    const originals = annotations['image-cloner/original-images'] ?? '';
    assert.ok(originals.includes(stage.original), originals);
    assert.ok((await stage.pulls()) > 0, 'the node has pulled from the backup');
  });

  it('rolls out a Deployment again while the public registry is down', async () => {
    await stage.source.stop();
    const before = await stage.pulls();
    await stage.kubectl(['rollout', 'restart', 'deployment/web', `--namespace=${shop}`]);
    await stage.waitForRollout(shop, 'web');
    assert.ok((await stage.pulls()) > before, 'the node has pulled from the backup');

    // A new process has no cached answer of the public registry.
    await stage.kubectl(['delete', 'pods', '--all', '--force', `--namespace=${own}`]);
    await eventually('a new webhook warns that it uses the backup', async () => {
      const { stderr } = await dryRun();
      return /^Warning: .*backup/m.test(stderr);
    });
    await stage.run(shop, 'again');
  });

  it('just deploy changes nothing when it deploys a second time', async () => {
    const before = await versions();

    const output = await stage.just('deploy');

    assert.deepEqual(await versions(), before);
    assert.doesNotMatch(output, / (created|configured)$/m);
    assert.doesNotMatch(output, /a node has pulled/);
  });

  it('just deploy from a new shell changes one setting and keeps all others', async () => {
    const before = await settings();

    const { code, stdout, stderr } = await stage.newShell('deploy', { ON_ERROR: 'admit' });

    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /^context .*, installation image-cloner\/image-cloner$/m);
    assert.match(stdout, /^ {2}ON_ERROR deny → admit$/m);
    assert.match(stdout, /^ {2}kept: .*PULL_SECRETS=true.*/m);
    assert.deepEqual(await settings(), { ...before, ON_ERROR: 'admit' });
    assert.equal((await stage.newShell('status')).code, 0);
  });

  it('just deploy asks before it removes a setting that is in force, and changes nothing without an answer', async () => {
    const before = await settings();

    const { code, stderr, stdout } = await stage.newShell('deploy', { PULL_SECRETS: '' });

    assert.equal(code, 1);
    assert.match(stderr, /removes settings that are in force \(PULL_SECRETS\).* add --yes/);
    assert.match(stdout, /Nothing was changed/);
    assert.deepEqual(await settings(), before);
  });

  it('just deploy refuses a misspelt setting', async () => {
    const { code, stderr } = await stage.newShell('deploy', { ON_EROR: 'deny' });

    assert.equal(code, 2);
    assert.match(stderr, /ON_EROR is not known; did you mean ON_ERROR\?/);
  });

  it('just deploy finds a wrong password before it changes anything, although the installation works', async () => {
    const before = await versions();
    await stage.kubectl(['apply', '--filename=-'], toRegistryAuth('wrong'));

    const { code, stderr } = await stage.newShell('deploy');

    await stage.kubectl(['apply', '--filename=-'], toRegistryAuth(user.password));
    assert.equal(code, 2);
    assert.match(stderr, /did not take a test image from this machine: .*credentials/);
    assert.match(stderr, /nothing was changed/);
    assert.deepEqual(
      { ...(await versions()), 'Secret/registry-auth': '' },
      { ...before, 'Secret/registry-auth': '' },
    );
  });

  it('just gen deploy replaces the certificates without rejecting a review', async () => {
    await stage.just('gen');
    const over = new AbortController();
    const reviews = repeatUntil(over.signal, dryRun);
    // Open connections of the API server hide a wrong CA for a while, so the status is checked too.
    const statuses = repeatUntil(over.signal, () => stage.tryJust('status'));

    await stage.just('deploy', { CERTIFICATES: 'files' }).finally(() => over.abort());

    const rejected = (await reviews).filter(({ code }) => code !== 0);
    assert.deepEqual(rejected, []);
    const states = (await statuses).map(({ stdout }) => /^.* certificate .*$/m.exec(stdout)?.[0]);
    assert.ok(states.length > 2, `${states.length} status checks`);
    for (const state of states) assert.match(state ?? 'none', /^ok /);
  });

  it('just deploy reports whether the webhook is still registered when a step fails', async () => {
    const none = `${stage.images.host}/image-cloner:none`;

    const { code, stderr } = await stage.tryJust('deploy', { IMAGE: none });

    assert.notEqual(code, 0);
    assert.match(stderr, /Knative Service: not ready: .*image-cloner:none/);
    assert.match(stderr, /Knative's controller asks \S+:5001 for IMAGE: push it there first/);
    assert.match(stderr, /The webhook was registered before and still is/);
    await stage.just('deploy');
  });

  it('restores the cluster with just undeploy', async () => {
    await stage.kubectl(['delete', 'namespace', shop]);

    await stage.just(['undeploy', '--yes']);

    const keptSettings = `ConfigMap ${own} image-cloner-settings`;
    // Pods drain for half a minute, and Knative deletes its objects asynchronously.
    const differences = async (): Promise<readonly string[]> => {
      const now = await everything();
      return [
        ...now.filter((each) => !asBefore.includes(each) && each !== keptSettings),
        ...asBefore.filter((each) => !now.includes(each)),
      ];
    };
    await eventually(
      'the cluster is restored',
      async () => (await differences()).length === 0,
      90_000,
    ).catch(async () => assert.deepEqual(await differences(), []));
    assert.equal((await stage.tryJust('status')).code, 1);
  });

  it('just deploy puts everything back from a new shell, also after the namespace was deleted', async () => {
    const first = await stage.newShell('deploy');
    assert.equal(first.code, 0, `${first.stdout}${first.stderr}`);
    const before = await settings();
    // Kubernetes waits for half of the time that pods have to end, which is ten minutes, before it looks at the namespace again.
    await stage.kubectl(['delete', 'ksvc', '--all', `--namespace=${own}`]);
    await stage.kubectl(['delete', 'pods', '--all', '--force', `--namespace=${own}`]);
    await stage.kubectl(['delete', 'namespace', own]);
    await stage.kubectl(['create', 'namespace', own]);
    await stage.kubectl(['create', '--filename=-'], toRegistryAuth(user.password));

    const second = await stage.newShell('deploy');

    assert.equal(second.code, 0, `${second.stdout}${second.stderr}`);
    assert.deepEqual(await settings(), before);
    await stage.just(['undeploy', '--yes']);
  });
});
