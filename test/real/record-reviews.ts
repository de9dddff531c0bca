import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { type RecordedReview, startReviewRecorder } from './support/review-recorder.ts';
import { createTls } from './support/tls.ts';
import { registerWebhook } from './support/webhook-configuration.ts';

// Writes test/fixtures/reviews/*.json: what a real API server sends for actions of a kubectl user.

/** One user action, and the review of it that is recorded. */
interface Case {
  /** Name of the fixture. */
  readonly name: string;
  /** Prerequisites, whose reviews are not recorded. */
  readonly arrange?: readonly Step[];
  readonly act: Step;
  /** Kind, operation and subresource of the recorded review: `Deployment CREATE`, `Scale UPDATE scale`. */
  readonly expected: string;
}

interface Step {
  readonly kubectl: readonly string[];
  readonly stdin?: object;
}

const folder = join(import.meta.dirname, '../fixtures/reviews');
const namespace = 'shop';

const rules = [
  {
    operations: ['*'],
    apiGroups: [''],
    resources: ['pods', 'pods/ephemeralcontainers', 'replicationcontrollers', 'podtemplates'],
  },
  {
    operations: ['*'],
    apiGroups: ['apps'],
    resources: ['deployments', 'deployments/scale', 'daemonsets', 'statefulsets', 'replicasets'],
  },
  { operations: ['*'], apiGroups: ['batch'], resources: ['jobs', 'cronjobs'] },
];

const podinfo = 'ghcr.io/stefanprodan/podinfo:6.7.1';
const pinned =
  'quay.io/prometheus/node-exporter@sha256:a25fbdaa3e4d03e0d735fd03f231e9a48332ecf40ca209b2f103b1f970d1cde0';

/** A hand-written manifest: no defaults, two containers, an init container. */
function deployment(name: string): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, labels: { app: name } },
    spec: { replicas: 2, ...selected(name), template: template(name, webPod) },
  };
}

const webPod = {
  initContainers: [{ name: 'migrate', image: 'alpine:3.12', command: ['true'] }],
  containers: [
    { name: 'web', image: 'nginx:1.27', ports: [{ containerPort: 80 }] },
    { name: 'metrics', image: pinned },
  ],
};

function selected(app: string): object {
  return { selector: { matchLabels: { app } } };
}

function template(app: string, spec: object): object {
  return { metadata: { labels: { app } }, spec };
}

const runOnce = {
  restartPolicy: 'Never',
  containers: [{ name: 'main', image: 'busybox', command: ['true'] }],
};

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'models', labels: { app: 'models' } },
  spec: {
    initContainers: [{ name: 'fetch', image: 'docker.io/library/alpine:3.12', command: ['true'] }],
    containers: [
      {
        name: 'serve',
        image: podinfo,
        volumeMounts: [{ name: 'weights', mountPath: '/weights' }],
      },
    ],
    volumes: [{ name: 'weights', image: { reference: 'quay.io/acme/weights:v3' } }],
  },
};

/** `deployment('reapplied')` after a webhook rewrote it. */
const backups = [
  'migrate=registry.example.com/acme/alpine:3.12',
  'web=registry.example.com/acme/nginx:1.27',
  'metrics=registry.example.com/acme/quay.io__prometheus__node-exporter:sha256.a25fbdaa3e4d03e0d735fd03f231e9a48332ecf40ca209b2f103b1f970d1cde0@sha256:a25fbdaa3e4d03e0d735fd03f231e9a48332ecf40ca209b2f103b1f970d1cde0',
];
const originals = JSON.stringify({
  'containers/metrics': pinned,
  'containers/web': 'nginx:1.27',
  'initContainers/migrate': 'alpine:3.12',
});

const apply = (stdin: object, ...flags: readonly string[]): Step => ({
  kubectl: ['apply', ...flags, '--filename', '-'],
  stdin,
});

const cases: readonly Case[] = [
  {
    name: 'deployment-create',
    act: apply(deployment('web')),
    expected: 'Deployment CREATE',
  },
  {
    name: 'daemonset-create',
    act: apply({
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'agent' },
      spec: {
        ...selected('agent'),
        template: template('agent', { containers: [{ name: 'agent', image: pinned }] }),
      },
    }),
    expected: 'DaemonSet CREATE',
  },
  {
    name: 'statefulset-create',
    act: apply({
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'db' },
      spec: {
        serviceName: 'db',
        ...selected('db'),
        template: template('db', {
          imagePullSecrets: [{ name: 'own' }],
          containers: [{ name: 'db', image: 'bitnami/postgresql:16' }],
        }),
      },
    }),
    expected: 'StatefulSet CREATE',
  },
  {
    name: 'replicaset-create',
    act: apply({
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: { name: 'cache' },
      spec: {
        ...selected('cache'),
        template: template('cache', { containers: [{ name: 'cache', image: 'redis:7' }] }),
      },
    }),
    expected: 'ReplicaSet CREATE',
  },
  {
    name: 'replicationcontroller-create',
    act: apply({
      apiVersion: 'v1',
      kind: 'ReplicationController',
      metadata: { name: 'old' },
      spec: {
        selector: { app: 'old' },
        template: template('old', { containers: [{ name: 'old', image: 'httpd:2.4' }] }),
      },
    }),
    expected: 'ReplicationController CREATE',
  },
  {
    name: 'job-create',
    act: apply({
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'once' },
      spec: { template: { spec: runOnce } },
    }),
    expected: 'Job CREATE',
  },
  {
    name: 'cronjob-create',
    act: apply({
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { name: 'nightly' },
      spec: { schedule: '0 3 * * *', jobTemplate: { spec: { template: { spec: runOnce } } } },
    }),
    expected: 'CronJob CREATE',
  },
  {
    name: 'podtemplate-create',
    act: apply({
      apiVersion: 'v1',
      kind: 'PodTemplate',
      metadata: { name: 'mould' },
      template: template('mould', { containers: [{ name: 'main', image: podinfo }] }),
    }),
    expected: 'PodTemplate CREATE',
  },
  { name: 'pod-create', act: apply(pod), expected: 'Pod CREATE' },
  {
    name: 'pod-ephemeralcontainers',
    act: {
      kubectl: ['debug', 'models', '--image=busybox:1.36', '--container=look', '--attach=false'],
    },
    expected: 'Pod UPDATE ephemeralcontainers',
  },
  {
    name: 'deployment-update-image',
    act: { kubectl: ['set', 'image', 'deployment/web', 'web=nginx:1.28'] },
    expected: 'Deployment UPDATE',
  },
  {
    name: 'deployment-update-labels-only',
    act: { kubectl: ['label', 'deployment/web', 'tier=front'] },
    expected: 'Deployment UPDATE',
  },
  {
    name: 'deployment-scale',
    act: { kubectl: ['scale', 'deployment/web', '--replicas=3'] },
    expected: 'Scale UPDATE scale',
  },
  {
    name: 'deployment-reapply',
    arrange: [
      apply(deployment('reapplied')),
      { kubectl: ['set', 'image', 'deployment/reapplied', ...backups] },
      {
        kubectl: ['annotate', 'deployment/reapplied', `image-cloner/original-images=${originals}`],
      },
    ],
    act: apply(deployment('reapplied')),
    expected: 'Deployment UPDATE',
  },
  {
    name: 'deployment-create-dry-run',
    act: apply(deployment('rehearsed'), '--dry-run=server'),
    expected: 'Deployment CREATE',
  },
  {
    name: 'deployment-server-side-apply',
    act: apply(deployment('declared'), '--server-side'),
    expected: 'Deployment CREATE',
  },
  {
    name: 'deployment-delete',
    act: { kubectl: ['delete', 'deployment/web'] },
    expected: 'Deployment DELETE',
  },
];

const tls = await createTls();
const recorder = await startReviewRecorder(tls);
const apiServer = await startApiServer();
try {
  const labels = { 'image-cloner': 'enabled' };
  await apiServer.createNamespace(namespace, labels);
  await registerWebhook(
    apiServer,
    { url: recorder.url, caBundle: tls.caBundle, rules, namespaceLabels: labels },
    recorder.wasCalled,
  );
  await mkdir(folder, { recursive: true });
  for (const { name, arrange = [], act, expected } of cases) {
    for (const step of arrange) await take(apiServer, step);
    recorder.take();
    await take(apiServer, act);
    const review = theOnly(recorder.take(), name, expected);
    await writeFile(join(folder, `${name}.json`), `${JSON.stringify(review.body, null, 2)}\n`);
    process.stdout.write(`${name}\n`);
  }
} finally {
  await apiServer.stop();
  await recorder.stop();
}

async function take({ mustKubectl }: ApiServer, { kubectl, stdin }: Step): Promise<void> {
  const input = stdin === undefined ? undefined : JSON.stringify(stdin);
  await mustKubectl(['--namespace', namespace, ...kubectl], input);
}

/** Rejects more than one matching write, which the fixture cannot show. */
function theOnly(
  reviews: readonly RecordedReview[],
  name: string,
  expected: string,
): RecordedReview {
  const found = reviews.map(({ kind, operation, subResource }) =>
    [kind, operation, subResource].filter((part) => part !== '').join(' '),
  );
  const [review] = reviews;
  if (review !== undefined && found.length === 1 && found[0] === expected) return review;
  throw new Error(`${name}: expected one review, ${expected}, but there were: ${found.join(', ')}`);
}
