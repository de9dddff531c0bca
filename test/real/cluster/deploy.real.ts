import assert from 'node:assert/strict';
import { cp, mkdir } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as v from 'valibot';
import { type Registry, startRegistry } from '../support/docker-registry.ts';
import { eventually } from '../support/eventually.ts';
import { createTempDir } from '../support/janitor.ts';
import { findProgram, type ProgramResult, runOrThrow, runProgram } from '../support/program.ts';

const root = join(import.meta.dirname, '../../..');
const own = 'image-cloner';
const shop = 'shop';
const pullSecret = 'backup-pull';
const baseImage = 'node-base:test';
const user = { name: 'acme', password: 's3"cr\\et+/é' };
/** The first start of a pod pulls a Node of 150 MB. */
const longMs = 240_000;

const deploymentSchema = v.object({
  metadata: v.object({ annotations: v.record(v.string(), v.string()) }),
  spec: v.object({
    template: v.object({
      spec: v.object({ containers: v.array(v.object({ image: v.string() })) }),
    }),
  }),
});
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

/**
 * The whole story on a real cluster with a node: needs KUBECONFIG (Knative Serving, Kourier's gateway, hostPath volumes on), HOST_IP (an
 * address of this machine that pods reach, and whose ports 5001 to 5003 the node pulls from by plain http) and DOCKER_HOST (the daemon
 * whose socket the node has).
 */
describe('just deploy', () => {
  let images: Registry;
  let source: Registry;
  let backup: Registry;
  let env: Readonly<Record<string, string>>;
  let original: string;

  before(async () => {
    process.env['PATH'] = [join(root, 'node_modules/.bin'), process.env['PATH']].join(delimiter);
    const address = wanted('HOST_IP');
    [images, source, backup] = await Promise.all([
      startRegistry({ address, port: 5001 }),
      startRegistry({ address, port: 5002 }),
      startRegistry({ address, port: 5003, users: [user] }),
    ]);
    env = {
      KUBECONFIG: wanted('KUBECONFIG'),
      DOCKER_HOST: wanted('DOCKER_HOST'),
      OUT_DIR: createTempDir('certs'),
      BASE: baseImage,
      IMAGE: `${images.host}/image-cloner:v1`,
      REGISTRY: backup.host,
      REGISTRY_NAMESPACE: 'backups',
      BACKUP_PULL_SECRET: pullSecret,
    };
    original = `${source.host}/team/web:1.0`;
    const sleep = { to: '/bin/sleep', change: 'ENTRYPOINT ["/bin/sleep", "infinity"]' };
    await importProgram(findProgram('sleep'), { name: original, ...sleep }, env);
    await docker('push', original);
    await docker('rmi', original);
  });
  after(async () => {
    await Promise.all([images, source, backup].map((registry) => registry.stop()));
  });

  async function docker(...args: readonly string[]): Promise<string> {
    return await runOrThrow('docker', args, { env });
  }

  async function kubectl(args: readonly string[], stdin?: object): Promise<string> {
    const input = stdin === undefined ? {} : { stdin: JSON.stringify(stdin) };
    return await runOrThrow('kubectl', args, { env, ...input });
  }

  async function just(
    recipe: string,
    more: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const { code, stdout, stderr } = await tryJust(recipe, more);
    assert.equal(code, 0, `just ${recipe}:\n${stdout}\n${stderr}\n${await describeTrouble()}`);
    return stdout;
  }

  async function tryJust(
    recipe: string,
    more: Readonly<Record<string, string>> = {},
  ): Promise<ProgramResult> {
    return await runProgram('just', ['--justfile', join(root, 'justfile'), '--yes', recipe], {
      env: { ...env, ...more },
      withinMs: longMs,
    });
  }

  /** What a person would look at. */
  async function describeTrouble(): Promise<string> {
    const looks = [
      ['get', 'ksvc,revision,domainmapping,king,pods', '--all-namespaces'],
      [
        'logs',
        `--namespace=${own}`,
        '--selector=serving.knative.dev/service=image-cloner',
        '--all-containers',
        '--tail=30',
      ],
      ['get', 'events', '--all-namespaces', '--sort-by=.lastTimestamp'],
    ];
    const said = await Promise.all(looks.map((args) => runProgram('kubectl', args, { env })));
    return said.map(({ stdout, stderr }) => `${stdout}${stderr}`.slice(-4_000)).join('\n');
  }

  /** Applies a Deployment that pulls each time a pod starts, and waits until its pod runs. */
  async function run(name: string, image = original): Promise<void> {
    const applied = await runProgram('kubectl', ['apply', '--filename=-'], {
      env,
      stdin: JSON.stringify(toDeployment(name, image)),
    });
    assert.equal(applied.code, 0, applied.stderr);
    await waitForRollout(name);
  }

  async function dryRun(): Promise<ProgramResult> {
    const stdin = JSON.stringify(toDeployment('dry', original));
    return await runProgram('kubectl', ['create', '--dry-run=server', '--filename=-'], {
      env,
      stdin,
    });
  }

  async function repeatUntil<Answer>(
    signal: AbortSignal,
    ask: () => Promise<Answer>,
  ): Promise<readonly Answer[]> {
    const answers = [];
    while (!signal.aborted) answers.push(await ask());
    return answers;
  }

  async function waitForRollout(name: string): Promise<void> {
    const args = [
      'rollout',
      'status',
      `deployment/${name}`,
      `--namespace=${shop}`,
      '--timeout=60s',
    ];
    const { code, stderr } = await runProgram('kubectl', args, { env });
    assert.equal(code, 0, `${stderr}\n${await describeTrouble()}`);
  }

  async function stored(name: string): Promise<v.InferOutput<typeof deploymentSchema>> {
    const args = ['get', 'deployment', name, `--namespace=${shop}`, '--output=json'];
    return v.parse(deploymentSchema, JSON.parse(await kubectl(args)));
  }

  /** Manifests that the node has fetched from the backup. */
  async function pulls(): Promise<number> {
    const requests = await backup.requests();
    return requests.filter(
      ({ userAgent, path, status }) =>
        userAgent.startsWith('containerd') && path.includes('/manifests/') && status === 200,
    ).length;
  }

  /** Name → generation, or the version of what has none. */
  async function versions(): Promise<Readonly<Record<string, string>>> {
    const lists = await Promise.all([
      kubectl(['get', 'mutatingwebhookconfiguration', '--output=json']),
      kubectl([
        'get',
        'ksvc,revision,domainmapping,serviceaccount,secret',
        `--namespace=${own}`,
        '--output=json',
      ]),
      kubectl(['get', 'clusterdomainclaim', '--output=json']),
      kubectl(['get', 'service', '--namespace=kourier-system', '--output=json']),
    ]);
    const items = lists.flatMap((list) => v.parse(versionsSchema, JSON.parse(list)).items);
    return Object.fromEntries(
      items.map(({ kind, metadata: { name, generation, resourceVersion } }) => [
        `${kind}/${name}`,
        String(generation ?? resourceVersion),
      ]),
    );
  }

  it('lists everything that is missing at once, and changes nothing', async () => {
    const { code, stderr } = await tryJust('deploy');

    assert.notEqual(code, 0);
    assert.match(stderr, /run "just gen" first/);
    assert.match(stderr, /Secret registry-auth in image-cloner must hold username and password/);
    assert.match(stderr, /nothing was changed/);
    assert.equal(await kubectl(['get', 'namespace', own, '--ignore-not-found']), '');
  });

  it('brings up what just build made, the webhook last', async () => {
    await importProgram(process.execPath, { name: baseImage, to: '/usr/local/bin/node' }, env);
    await just('build');
    await docker('push', `${images.host}/image-cloner:v1`);
    await just('gen');
    await kubectl(['create', 'namespace', own]);
    await kubectl([
      'create',
      'secret',
      'generic',
      'registry-auth',
      `--namespace=${own}`,
      `--from-literal=username=${user.name}`,
      `--from-literal=password=${user.password}`,
    ]);

    const said = await just('deploy');

    assert.doesNotMatch(said, /Warning/);
    assert.match(said, /API server[^]+answered[^]+== webhook configuration/);
    assert.match(await just('status'), /ok {2}webhook +registered/);
  });

  it('lets a Deployment of an opted-in namespace run from the backup', async () => {
    await kubectl(['create', 'namespace', shop]);
    await kubectl(['label', 'namespace', shop, 'image-cloner=enabled']);
    await kubectl([
      'create',
      'secret',
      'docker-registry',
      pullSecret,
      `--namespace=${shop}`,
      `--docker-server=${backup.host}`,
      `--docker-username=${user.name}`,
      `--docker-password=${user.password}`,
    ]);

    await run('web');

    const { metadata, spec } = await stored('web');
    assert.match(spec.template.spec.containers[0]?.image ?? '', /:5003\/backups\/.*web.*:1\.0$/);
    const originals = metadata.annotations['image-cloner/original-images'] ?? '';
    assert.ok(originals.includes(original), originals);
    assert.ok((await pulls()) > 0, 'the node has pulled from the backup');
  });

  it('keeps it deploying when the public registry is gone', async () => {
    await source.stop();
    const before = await pulls();
    await kubectl(['rollout', 'restart', 'deployment/web', `--namespace=${shop}`]);
    await waitForRollout('web');
    assert.ok((await pulls()) > before, 'the node has pulled from the backup');

    // It remembers for a minute what the public registry said; another process has never heard of it.
    await kubectl(['delete', 'pods', '--all', '--force', `--namespace=${own}`]);
    await eventually('a new webhook says that it uses the backup', async () => {
      const { stderr } = await dryRun();
      return /^Warning: .*backup/m.test(stderr);
    });
    await run('again');
  });

  it('changes nothing the second time', async () => {
    const before = await versions();

    const said = await just('deploy');

    assert.deepEqual(await versions(), before);
    assert.doesNotMatch(said, / (created|configured)$/m);
  });

  it('replaces the certificates while the webhook is asked', async () => {
    await just('gen');
    const over = new AbortController();
    const asked = repeatUntil(over.signal, dryRun);
    // The API server keeps its connections, and so would not notice for a while that it trusts the wrong CA.
    const looked = repeatUntil(over.signal, () => tryJust('status'));

    await just('deploy').finally(() => over.abort());

    const refused = (await asked).filter(({ code }) => code !== 0);
    assert.deepEqual(refused, []);
    const states = (await looked).map(({ stdout }) => /^.* certificate .*$/m.exec(stdout)?.[0]);
    assert.ok(states.length > 2, `looked ${states.length} times`);
    for (const state of states) assert.match(state ?? 'none', /^ok /);
  });

  it('says what stands when it fails', async () => {
    const { code, stderr } = await tryJust('deploy', { IMAGE: `${images.host}/image-cloner:none` });

    assert.notEqual(code, 0);
    assert.match(stderr, /Knative Service: it says: .*image-cloner:none/);
    assert.match(stderr, /The webhook was registered before and still is/);
    await just('deploy');
  });

  it('copies without a daemon and without privileges, as CLONER=registry', async () => {
    await source.start();
    const more = { CLONER: 'registry', INSECURE_REGISTRIES: `${source.host},${backup.host}` };
    await docker('pull', original);
    const another = `${source.host}/team/another:1.0`;
    await docker('tag', original, another);
    await docker('push', another);

    const said = await just('deploy', more);

    assert.match(said, /image-cloner configured$/m);
    assert.doesNotMatch(said, /Warning/);
    await run('another', another);
    const { spec } = await stored('another');
    assert.match(
      spec.template.spec.containers[0]?.image ?? '',
      /:5003\/backups\/.*another.*:1\.0$/,
    );
  });

  it('is taken out by just undeploy', async () => {
    await just('undeploy');

    const rest = await Promise.all([
      kubectl(['get', 'mutatingwebhookconfiguration', '--output=name']),
      kubectl(['get', 'ksvc,domainmapping', '--all-namespaces', '--output=name']),
      kubectl(['get', 'service', own, '--namespace=kourier-system', '--ignore-not-found']),
    ]);
    assert.equal(rest.join('').includes(own), false, rest.join(''));
    assert.equal((await tryJust('status')).code, 1);
  });
});

function wanted(name: string): string {
  const value = process.env[name] ?? '';
  if (value === '') throw new Error(`${name} is not set: this runs inside a cluster with a node`);
  return value;
}

function toDeployment(name: string, image: string): object {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: shop },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [{ name: 'web', image, imagePullPolicy: 'Always' }],
        },
      },
    },
  };
}

/** Makes an image of one program of this machine and the libraries that it needs: nothing can be had from outside. */
async function importProgram(
  program: string,
  {
    name,
    to,
    change = '',
  }: { readonly name: string; readonly to: string; readonly change?: string },
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const dir = createTempDir('image');
  const libraries = (await runOrThrow('ldd', [program])).match(/\/\S+(?= \(0x)/g) ?? [];
  for (const from of [program, ...libraries]) {
    const path = join(dir, 'root', from === program ? to : from);
    await mkdir(dirname(path), { recursive: true });
    await cp(from, path, { dereference: true });
  }
  const tar = join(dir, 'root.tar');
  await runOrThrow('tar', ['--directory', join(dir, 'root'), '--create', '--file', tar, '.']);
  const flags = change === '' ? [] : ['--change', change];
  await runOrThrow('docker', ['import', ...flags, tar, name], { env });
}
