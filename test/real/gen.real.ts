import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as v from 'valibot';
import { Document } from 'yaml';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { eventually } from './support/eventually.ts';
import { createTempDir } from './support/janitor.ts';
import { findFreePort } from './support/port.ts';
import { launchProcess } from './support/process.ts';
import { type ReviewRecorder, startReviewRecorder } from './support/review-recorder.ts';

const root = join(import.meta.dirname, '../..');
const namespace = 'shop';
const enabled = { 'image-cloner': 'image-cloner' };

const outside = 'quay.io/prometheus/node-exporter:v1.8.0';
const backup = 'registry.corp:5000/acme';
const inside = `${backup}/quay.io__prometheus__node-exporter:v1.8.0`;

/** The pod template of each supported kind. */
interface Kind {
  readonly kind: string;
  /** Resource name for kubectl. */
  readonly resource: string;
  readonly apiVersion: string;
  /** JSON pointer of the pod spec. */
  readonly podSpec: string;
  readonly wrap: (app: string, spec: object) => object;
}

const selected = (app: string, spec: object): object => ({
  spec: { selector: { matchLabels: { app } }, template: template(app, spec) },
});
const runOnce = { restartPolicy: 'Never' };
const inTemplate = '/spec/template/spec';

const kinds: readonly Kind[] = [
  ...['Deployment', 'DaemonSet', 'ReplicaSet', 'StatefulSet'].map((kind) => ({
    kind,
    resource: kind.toLowerCase(),
    apiVersion: 'apps/v1',
    podSpec: inTemplate,
    wrap: selected,
  })),
  {
    kind: 'ReplicationController',
    resource: 'replicationcontroller',
    apiVersion: 'v1',
    podSpec: inTemplate,
    wrap: (app, spec) => ({ spec: { selector: { app }, template: template(app, spec) } }),
  },
  {
    kind: 'Job',
    resource: 'job',
    apiVersion: 'batch/v1',
    podSpec: inTemplate,
    wrap: (_app, spec) => ({ spec: { template: { spec: { ...spec, ...runOnce } } } }),
  },
  {
    kind: 'CronJob',
    resource: 'cronjob',
    apiVersion: 'batch/v1',
    podSpec: '/spec/jobTemplate/spec/template/spec',
    wrap: (_app, spec) => ({
      spec: {
        schedule: '0 3 * * *',
        jobTemplate: { spec: { template: { spec: { ...spec, ...runOnce } } } },
      },
    }),
  },
  {
    kind: 'PodTemplate',
    resource: 'podtemplate',
    apiVersion: 'v1',
    podSpec: '/template/spec',
    wrap: (app, spec) => ({ template: template(app, spec) }),
  },
  {
    kind: 'Pod',
    resource: 'pod',
    apiVersion: 'v1',
    podSpec: '/spec',
    wrap: (_app, spec) => ({ spec }),
  },
  ...['Service', 'Configuration'].map((kind) => ({
    kind,
    resource: `${kind.toLowerCase()}s.serving.knative.dev`,
    apiVersion: 'serving.knative.dev/v1',
    podSpec: inTemplate,
    wrap: (_app: string, spec: object) => ({ spec: { template: { spec } } }),
  })),
];

/** The output of `just gen` on a real kube-apiserver. */
describe('the webhook configuration of gen', () => {
  let apiServer: ApiServer;
  /** Configured with the backup `registry.corp:5000`, namespace `acme`. */
  let corp: Registered;
  /** Configured with the backup on Docker Hub, namespace `acme`. */
  let hub: Registered;
  /** Configured only with a registry in this cluster. */
  let tools: Registered;
  const running: Registered[] = [];

  before(async () => {
    apiServer = await startApiServer();
    for (const kind of ['Service', 'Configuration']) {
      await apiServer.mustKubectl(['create', '--filename', '-'], JSON.stringify(toCrd(kind)));
    }
    await apiServer.createNamespace(namespace, enabled);
    const WORKLOADS = kinds
      .map(({ resource }) => (resource.includes('.') ? resource : `${resource}s`))
      .join();
    corp = await register({
      NAME: 'corp',
      WORKLOADS,
      REGISTRY: 'registry.corp:5000',
      REGISTRY_NAMESPACE: 'acme',
    });
    hub = await register({ NAME: 'hub', REGISTRY_NAMESPACE: 'acme' });
    tools = await register({ NAME: 'tools', WORKLOADS, REGISTRY: 'registry.tools.svc:5000' });
    for (const { kind, resource } of kinds) {
      await eventually(`the API server knows ${kind}`, async () => {
        const { code } = await apiServer.kubectl(['get', resource, '--namespace', namespace]);
        return code === 0;
      });
    }
    await eventually('all three are called', async () => {
      await create(toManifest('Deployment', 'probe', outside), ['--dry-run=server']);
      return [corp, hub, tools].every(({ recorder }) => recorder.wasCalled());
    });
    sent();
  });
  after(async () => {
    for (const each of running) await each.stop();
    await apiServer.stop();
  });

  async function register(env: Readonly<Record<string, string>>): Promise<Registered> {
    const port = await findFreePort();
    const WEBHOOK_URL = `https://127.0.0.1:${port}`;
    const registered = await startRegistered({ ...env, WEBHOOK_URL }, '127.0.0.1', port);
    running.push(registered);
    await apiServer.mustKubectl(['create', '--filename', join(registered.dir, 'webhook.yaml')]);
    return registered;
  }

  /** Resolves with the error of the API server, if any. */
  async function run(args: readonly string[], stdin?: object, inNamespace = namespace) {
    const input = stdin === undefined ? undefined : JSON.stringify(stdin);
    const { stderr } = await apiServer.kubectl(['--namespace', inNamespace, ...args], input);
    return stderr.trim();
  }

  async function create(
    manifest: object,
    flags: readonly string[] = [],
    inNamespace = namespace,
  ): Promise<string> {
    const args = ['create', '--validate=false', ...flags, '--filename', '-'];
    return await run(args, manifest, inNamespace);
  }

  async function patch({ resource }: Kind, name: string, operations: readonly object[]) {
    return await run(['patch', resource, name, '--type=json', '-p', JSON.stringify(operations)]);
  }

  /** The reviews that each recorder received since the last call. */
  function sent(): { corp: readonly string[]; hub: readonly string[]; tools: readonly string[] } {
    return { corp: take(corp), hub: take(hub), tools: take(tools) };
  }

  for (const kind of kinds) {
    const name = `matrix-${kind.kind.toLowerCase()}`;
    const image = `${kind.podSpec}/containers/0/image`;

    it(`sends a ${kind.kind} with images outside the backup for review`, async () => {
      assert.equal(await create(toManifest(kind.kind, name, outside)), '');
      assert.deepEqual(sent().corp, [`${kind.kind} CREATE`]);

      assert.equal(await run(['label', kind.resource, name, 'tier=front']), '');
      assert.equal(await run(['annotate', kind.resource, name, 'note=x']), '');
      assert.deepEqual(sent().corp, []);

      assert.equal(await run(['annotate', kind.resource, name, 'image-cloner/backfill=1']), '');
      assert.deepEqual(sent().corp, [`${kind.kind} UPDATE`]);

      const problem = await patch(kind, name, [
        { op: 'replace', path: image, value: 'quay.io/prometheus/node-exporter:v1.9.0' },
      ]);
      assert.match(problem, kind.kind === 'Job' ? /field is immutable/ : /^$/);
      assert.deepEqual(sent().corp, [`${kind.kind} UPDATE`]);
    });

    it(`sends a ${kind.kind} with only backup images for review only if the name of a copy was edited`, async () => {
      assert.equal(await create(toManifest(kind.kind, `${name}-inside`, inside)), '');
      assert.equal(await run(['label', kind.resource, `${name}-inside`, 'tier=front']), '');
      assert.deepEqual(sent().corp, []);
      const toBackup = [{ op: 'replace', path: image, value: `${backup}/nginx:1.27` }];
      assert.match(
        await patch(kind, `${name}-inside`, toBackup),
        kind.kind === 'Job' ? /field is immutable/ : /^$/,
      );

      const { corp, tools } = sent();
      assert.deepEqual(corp, [`${kind.kind} UPDATE`]);
      // The webhook without a known backup receives every changed object.
      assert.deepEqual(tools, [`${kind.kind} UPDATE`]);
    });
  }

  const places = [
    { name: 'an init container', spec: { initContainers: [{ name: 'init', image: outside }] } },
    { name: 'the second container', spec: {}, more: [{ name: 'second', image: outside }] },
    { name: 'an image volume', spec: { volumes: [{ name: 'v', image: { reference: outside } }] } },
  ];
  for (const [index, { name, spec, more = [] }] of places.entries()) {
    it(`sends an object with an image outside the backup in ${name} for review`, async () => {
      const containers = [{ name: 'main', image: inside }, ...more];
      for (const { kind } of kinds) {
        const manifest = wrap(kind, `place-${index}`, { containers, ...spec });
        assert.equal(await create(manifest, ['--dry-run=server']), '');
      }

      assert.deepEqual(
        sent().corp,
        kinds.map(({ kind }) => `${kind} CREATE`),
      );
    });
  }

  it('does not send backup images in init containers and image volumes for review', async () => {
    const spec = {
      containers: [{ name: 'main', image: inside }],
      initContainers: [{ name: 'init', image: inside }],
      volumes: [
        { name: 'image', image: { reference: `${backup}/weights:1` } },
        { name: 'empty', emptyDir: {} },
      ],
    };
    for (const { kind } of kinds) {
      assert.equal(await create(wrap(kind, 'volumes', spec), ['--dry-run=server']), '');
    }

    assert.deepEqual(sent().corp, []);
  });

  it('sends kubectl debug with an image outside the backup for review', async () => {
    assert.equal(await create(toManifest('Pod', 'debugged', inside)), '');

    await run(toDebug('inner', `${backup}/busybox:1.36`));
    assert.deepEqual(sent().corp, []);
    await run(toDebug('outer', 'busybox:1.36'));
    assert.deepEqual(sent().corp, ['Pod UPDATE ephemeralcontainers']);
  });

  for (const kind of kinds) {
    it(`does not send the write that opts a ${kind.kind} out for review, although the old object was reviewed`, async () => {
      const name = `out-${kind.kind.toLowerCase()}`;
      assert.equal(await create(toManifest(kind.kind, name, inside)), '');
      sent();
      const labels = { op: 'add', path: '/metadata/labels', value: { 'image-cloner': 'disabled' } };
      const image = `${kind.podSpec}/containers/0/image`;

      const problem = await patch(kind, name, [
        labels,
        { op: 'replace', path: image, value: outside },
      ]);

      assert.match(problem, kind.kind === 'Job' ? /field is immutable/ : /^$/);
      assert.deepEqual(sent(), { corp: [], hub: [], tools: [] });
    });
  }

  it('does not send an object whose pod template is opted out for review', async () => {
    for (const { kind, podSpec } of kinds.filter(({ kind }) => kind !== 'Pod')) {
      const manifest = toManifest(kind, `out-template-${kind.toLowerCase()}`, outside);
      const metadata = podSpec.replace(/spec$/, 'metadata');
      const patched = withOptOut(manifest, metadata.split('/').slice(1));

      assert.equal(await create(patched, ['--dry-run=server']), '');
    }

    assert.deepEqual(sent().corp, []);
  });

  it('sends neither scaling nor metadata for review, except the backfill annotation', async () => {
    assert.equal(await create(toManifest('Deployment', 'scaled', outside)), '');
    sent();

    assert.equal(await run(['scale', 'deployment/scaled', '--replicas=3']), '');
    assert.equal(
      await run(['patch', 'deployment/scaled', '-p', '{"spec":{"replicas":5,"paused":true}}']),
      '',
    );
    assert.equal(
      await run([
        'patch',
        'deployment/scaled',
        '-p',
        '{"metadata":{"annotations":{"image-cloner/original-images":"{}"}}}',
      ]),
      '',
    );
    assert.deepEqual(sent().corp, []);

    assert.equal(await run(['annotate', 'deployment/scaled', 'image-cloner/backfill=1']), '');
    assert.equal(await run(['annotate', 'deployment/scaled', 'image-cloner/backfill-']), '');
    assert.deepEqual(sent().corp, ['Deployment UPDATE', 'Deployment UPDATE']);
  });

  const spellings = [
    { image: 'acme/nginx:1.27', isSent: false },
    { image: 'docker.io/acme/nginx:1.27', isSent: false },
    { image: 'index.docker.io/acme/nginx:1.27', isSent: false },
    { image: 'nginx', isSent: true },
    { image: 'acme', isSent: true },
    { image: 'acme2/nginx', isSent: true },
    { image: 'quay.io/acme/nginx', isSent: true },
    { image: 'acme.example/nginx', isSent: true },
  ];
  for (const { image, isSent } of spellings) {
    it(`${isSent ? 'sends' : 'does not send'} ${image} for review if the backup is acme on Docker Hub`, async () => {
      const manifest = toManifest('Deployment', 'spelt', image);

      assert.equal(await create(manifest, ['--dry-run=server']), '');

      assert.deepEqual(sent().hub, isSent ? ['Deployment CREATE'] : []);
    });
  }

  const lookalikes = [
    'registry.corp/acme/nginx',
    'registry.corp:5000/acme2/nginx',
    'registry.corp:5000/other/acme/nginx',
    'registry.corp.example:5000/acme/nginx',
    'acme/nginx',
  ];
  for (const image of lookalikes) {
    it(`sends ${image}, which only resembles the backup, for review`, async () => {
      const manifest = toManifest('Deployment', 'lookalike', image);

      assert.equal(await create(manifest, ['--dry-run=server']), '');

      assert.deepEqual(sent().corp, ['Deployment CREATE']);
    });
  }

  /** Admission runs before validation, so the expressions see these objects. `says` is the error of the validation. */
  const incomplete: readonly {
    readonly name: string;
    readonly object: object;
    readonly says: RegExp;
  }[] = [
    {
      name: 'Deployment without a spec',
      object: { apiVersion: 'apps/v1', kind: 'Deployment' },
      says: /containers: Required value/,
    },
    {
      name: 'Deployment with nulls',
      object: wrap('Deployment', 'x', { containers: null, initContainers: null, volumes: null }),
      says: /containers: Required value/,
    },
    {
      name: 'Deployment with nulls in its lists',
      object: wrap('Deployment', 'x', { containers: [null], volumes: [null] }),
      says: /image: Required value/,
    },
    {
      name: 'Deployment without images',
      object: wrap('Deployment', 'x', {
        containers: [{ name: 'main' }],
        volumes: [{ name: 'v', image: {} }],
      }),
      says: /image: Required value/,
    },
    {
      name: 'ReplicationController without a template',
      object: { apiVersion: 'v1', kind: 'ReplicationController', spec: { selector: { a: 'b' } } },
      says: /template: Required value/,
    },
    {
      name: 'CronJob with nulls',
      object: { apiVersion: 'batch/v1', kind: 'CronJob', spec: { jobTemplate: null } },
      says: /containers: Required value/,
    },
    {
      name: 'Job without a template',
      object: { apiVersion: 'batch/v1', kind: 'Job', spec: {} },
      says: /containers: Required value/,
    },
    {
      name: 'PodTemplate without a template',
      object: { apiVersion: 'v1', kind: 'PodTemplate' },
      says: /containers: Required value/,
    },
    {
      name: 'Pod without a spec',
      object: { apiVersion: 'v1', kind: 'Pod' },
      says: /containers: Required value/,
    },
    ...[
      {},
      { spec: null },
      { spec: 5 },
      { spec: { template: null } },
      { spec: { template: 'x' } },
      { spec: { template: { spec: null } } },
      { spec: { template: { spec: { containers: null, volumes: 'x' } } } },
      { spec: { template: { spec: { containers: { a: { image: outside } } } } } },
      { spec: { template: { spec: { containers: [null, 5, 'x', {}, { image: null }] } } } },
      { spec: { template: { spec: { containers: [{ image: 5 }, { image: {} }] } } } },
      { spec: { template: { spec: { volumes: [{ image: 'x' }, { image: { reference: 5 } }] } } } },
    ].map((rest) => ({
      name: `Knative Service ${JSON.stringify(rest)}`,
      object: { apiVersion: 'serving.knative.dev/v1', kind: 'Service', ...rest },
      // The stub of Knative's definition accepts any object.
      says: /^$/,
    })),
  ];
  for (const [index, { name, object, says }] of incomplete.entries()) {
    it(`lets the validation of the API server reject a ${name}`, async () => {
      const metadata = { name: `incomplete-${index}`, labels: { app: 'x' } };

      assert.match(await create({ ...object, metadata }), says);

      assert.deepEqual(sent().corp, []);
    });
  }

  it('matches an update whose old object is incomplete', async () => {
    const object = { apiVersion: 'serving.knative.dev/v1', kind: 'Service' };
    const metadata = { name: 'growing' };
    const replace = async (rest: object): Promise<string> =>
      await run(['replace', '--filename', '-'], { ...object, metadata, ...rest });
    assert.equal(await create({ ...object, metadata }), '');

    assert.equal(await replace({ spec: null }), '');
    assert.equal(await replace({ spec: { template: null } }), '');
    assert.equal(await replace({ spec: { template: { spec: { containers: [] } } } }), '');
    assert.deepEqual(sent().corp, []);

    const containers = [null, { image: inside }, { image: outside }];
    assert.equal(await replace({ spec: { template: { spec: { containers } } } }), '');
    assert.equal(await replace({ spec: 5 }), '');
    assert.deepEqual(sent().corp, ['Service UPDATE']);
  });

  it('keeps its CEL expressions within the cost budget for Deployments of the maximum size', async () => {
    const digest = 'sha256:a25fbdaa3e4d03e0d735fd03f231e9a48332ecf40ca209b2f103b1f970d1cde0';

    const large = wrap('Deployment', 'large', toContainers(200, `${inside}@${digest}`));
    assert.equal(await create(large), '');
    assert.equal(await run(['label', 'deployment/large', 'tier=front']), '');
    assert.deepEqual(sent().corp, []);
    const mixed = wrap('Deployment', 'large', toContainers(200, `${inside}@${digest}`, outside));
    assert.equal(await run(['replace', '--filename', '-'], mixed), '');
    assert.deepEqual(sent().corp, ['Deployment UPDATE']);

    // Compares three prefixes, of which the last matches; etcd stores at most 1.5 MiB.
    const huge = wrap('Deployment', 'huge', toContainers(10_000, 'index.docker.io/acme/a'));
    assert.equal(await create(huge, ['--dry-run=server']), '');
    assert.deepEqual(sent().hub, []);
  });

  it('sends objects of opted-in namespaces for review, and never those of namespaces that the webhook needs', async () => {
    await apiServer.createNamespace('elsewhere');
    for (const excluded of ['image-cloner', 'kourier-system', 'tools']) {
      await apiServer.createNamespace(excluded, enabled);
    }
    await apiServer.mustKubectl(['label', 'namespace', 'kube-system', 'image-cloner=image-cloner']);
    const manifest = toManifest('Deployment', 'selected', outside);

    for (const excluded of ['elsewhere', 'image-cloner', 'kourier-system', 'kube-system']) {
      assert.equal(await create(manifest, [], excluded), '');
    }
    assert.deepEqual(sent(), { corp: [], hub: [], tools: [] });

    assert.equal(await create(manifest, [], 'tools'), '');
    const expected = ['Deployment CREATE'];
    assert.deepEqual(sent(), { corp: expected, hub: expected, tools: [] });
  });

  it('does not send objects for review that opted out', async () => {
    const manifest = toManifest('Deployment', 'disabled', outside, { 'image-cloner': 'disabled' });

    assert.equal(await create(manifest), '');

    assert.deepEqual(sent(), { corp: [], hub: [], tools: [] });
  });

  it('the webhook configuration calls the Service by its name, rejects writes while it is down, and is removed by one command', async () => {
    const clusterIP = `127.77.${1 + Math.floor(Math.random() * 200)}.77`;
    const served = await startRegistered({ NAME: 'served' }, clusterIP, 443);
    running.push(served);
    await apiServer.mustKubectl(['create', '--filename', join(served.dir, 'tls-secret.yaml')]);
    await apiServer.mustKubectl(
      ['create', '--filename', '-'],
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'served', namespace: 'kourier-system' },
        spec: { clusterIP, ports: [{ port: 443 }] },
      }),
    );
    await apiServer.mustKubectl(['create', '--filename', join(served.dir, 'webhook.yaml')]);
    const manifest = toManifest('Deployment', 'served', outside);

    await eventually('the API server calls the Service', async () => {
      await create(manifest, ['--dry-run=server']);
      return served.recorder.wasCalled();
    });
    await served.stop();
    assert.match(
      await create(manifest),
      /failed calling webhook "served\.kourier-system\.svc".*connection refused/,
    );

    const [program, ...args] = served.wayOut.split(' ');
    assert.equal(program, 'kubectl');
    await apiServer.mustKubectl(args);
    await eventually('the webhook is gone', async () => (await create(manifest)) === '');
    sent();
  });

  it('evaluates its CEL expressions without an error', async () => {
    const metrics = await apiServer.mustKubectl(['get', '--raw', '/metrics']);

    const lines = metrics.split('\n').filter((line) => !line.startsWith('#'));
    const about = (text: string): readonly string[] => lines.filter((line) => line.includes(text));
    assert.notDeepEqual(about('apiserver_admission_match_condition_evaluation_seconds_count'), []);
    assert.deepEqual(about('apiserver_admission_match_condition_evaluation_errors_total'), []);
  });
});

/** A run of gen, and a recorder with its certificate. */
interface Registered {
  /** Path of the files. */
  readonly dir: string;
  readonly recorder: ReviewRecorder;
  /** The last line that gen printed. */
  readonly wayOut: string;
  readonly stop: () => Promise<void>;
}

async function startRegistered(
  env: Readonly<Record<string, string>>,
  host: string,
  port: number,
): Promise<Registered> {
  const { dir, stdout } = await gen({ ...env, LABEL_VALUE: 'image-cloner' });
  const read = (name: string): Promise<string> => readFile(join(dir, name), 'utf8');
  const [ca, cert, key] = await Promise.all([read('ca.crt'), read('tls.crt'), read('tls.key')]);
  const [certFile, keyFile] = [join(dir, 'tls.crt'), join(dir, 'tls.key')];
  const recorder = await startReviewRecorder({
    ca,
    caBundle: btoa(ca),
    cert,
    key,
    certFile,
    keyFile,
  });
  const stopRelay = await startRelay(host, port, Number(new URL(recorder.url).port));
  return {
    dir,
    recorder,
    wayOut: stdout.trimEnd().split('\n').at(-1)?.trim() ?? '',
    stop: async () => {
      await stopRelay();
      await recorder.stop();
    },
  };
}

async function gen(
  env: Readonly<Record<string, string>>,
): Promise<{ readonly dir: string; readonly stdout: string }> {
  const dir = createTempDir('gen');
  const running = launchProcess({
    program: process.execPath,
    args: ['--import', 'tsx', 'functions/gen/main.ts'],
    cwd: root,
    dir,
    env: { ...env, OUT_DIR: dir },
  });
  const { code } = await running.waitForEnd();
  assert.equal(code, 0, running.stderr());
  return { dir, stdout: running.stdout() };
}

/** Forwards a known address to the recorder: the certificate needs the address before the recorder chooses its port. */
async function startRelay(host: string, port: number, to: number): Promise<() => Promise<void>> {
  const server = createServer((socket) => {
    const onward = connect(to, '127.0.0.1');
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
      one.pipe(other);
    }
    closing.add(() => socket.destroy());
  });
  const closing = new Set<() => void>();
  server.unref();
  server.listen(port, host);
  await once(server, 'listening');
  return async () => {
    if (!server.listening) return;
    server.close();
    for (const close of closing) close();
    await once(server, 'close');
  };
}

function toManifest(
  kind: string,
  name: string,
  image: string,
  labels: Readonly<Record<string, string>> = {},
): object {
  return wrap(kind, name, { containers: [{ name: 'main', image }] }, labels);
}

function wrap(
  kind: string,
  name: string,
  spec: object,
  labels: Readonly<Record<string, string>> = {},
): object {
  const found = kinds.find((each) => each.kind === kind);
  assert.ok(found, kind);
  const { apiVersion } = found;
  return { apiVersion, kind, metadata: { name, labels }, ...found.wrap('x', spec) };
}

/** Opts an object out by the label at the path of its `metadata`. */
function withOptOut(manifest: object, metadata: readonly string[]): object {
  const document = new Document(manifest);
  document.setIn([...metadata, 'labels', 'image-cloner'], 'disabled');
  return v.parse(v.looseObject({}), document.toJS());
}

function toContainers(count: number, image: string, last = image): object {
  return {
    containers: Array.from({ length: count }, (_, index) => ({
      name: `c${index}`,
      image: index === count - 1 ? last : image,
    })),
  };
}

function toDebug(container: string, image: string): readonly string[] {
  const flags = ['--attach=false', '--profile=general'];
  return ['debug', 'debugged', `--image=${image}`, `--container=${container}`, ...flags];
}

/** `Deployment CREATE`. */
function take({ recorder }: Registered): readonly string[] {
  return recorder
    .take()
    .map(({ kind, operation, subResource }) => `${kind} ${operation} ${subResource}`.trim());
}

function template(app: string, spec: object): object {
  return { metadata: { labels: { app } }, spec };
}

/** A stub of Knative's definitions that accepts any object. */
function toCrd(kind: string): object {
  const singular = kind.toLowerCase();
  const schema = {
    openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${singular}s.serving.knative.dev` },
    spec: {
      group: 'serving.knative.dev',
      scope: 'Namespaced',
      names: { kind, singular, plural: `${singular}s`, listKind: `${kind}List` },
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  };
}
