import assert from 'node:assert/strict';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import * as v from 'valibot';
import { type Registry, type RegistryUser, startRegistry } from './docker-registry.ts';
import { type Gate, startGate } from './gate.ts';
import { createTempDir } from './janitor.ts';
import { findProgram, type ProgramResult, runOrThrow, runProgram } from './program.ts';

type Env = Readonly<Record<string, string>>;

/** A cluster from a user's point of view: kubectl, docker, just, and three registries. */
export interface Stage {
  /** The environment of every recipe. */
  readonly env: Env;
  /** The registry of the webhook's own image. */
  readonly images: Registry;
  /** The public registry of workload images. */
  readonly source: Registry;
  /** The backup registry, without anonymous access. */
  readonly backup: Registry;
  /** An image in `source` that runs and does nothing. */
  readonly original: string;
  /** Builds and pushes the webhook's image, and creates the namespace and the Secret registry-auth. */
  readonly prepare: (more?: Env) => Promise<void>;
  readonly docker: (...args: readonly string[]) => Promise<string>;
  readonly kubectl: (args: readonly string[], stdin?: object) => Promise<string>;
  readonly tryKubectl: (args: readonly string[], stdin?: object) => Promise<ProgramResult>;
  /** Resolves with the recipe's output; fails the test with diagnostics of the cluster. */
  readonly just: (recipe: string | readonly string[], more?: Env) => Promise<string>;
  readonly tryJust: (recipe: string | readonly string[], more?: Env) => Promise<ProgramResult>;
  /** As `tryJust` in a shell that has no setting. */
  readonly newShell: (recipe: string | readonly string[], more?: Env) => Promise<ProgramResult>;
  /** Creates an opted-in namespace whose pods can pull from the backup. `labelValue` is that of a new installation by default. */
  readonly optIn: (namespace: string, labelValue?: string) => Promise<void>;
  /** Applies a Deployment with imagePullPolicy Always, and waits until its pod runs. */
  readonly run: (namespace: string, name: string, image?: string) => Promise<void>;
  readonly waitForRollout: (namespace: string, name: string) => Promise<void>;
  /** The image and annotations of the stored object. */
  readonly stored: (
    namespace: string,
    name: string,
  ) => Promise<{ readonly image: string; readonly annotations: Readonly<Record<string, string>> }>;
  /** Pushes the original under another name. */
  readonly pushAs: (name: string) => Promise<string>;
  /** Pushes an image that shares no layer with another one, so that its copy mounts none. */
  readonly pushDistinct: (name: string) => Promise<string>;
  /** Number of manifests that the node pulled from the backup. */
  readonly pulls: () => Promise<number>;
  /** Opens a gate in front of the public registry, on port 5004. */
  readonly openGate: () => Promise<Gate>;
  /** Changes the password of the backup's user. */
  readonly changePassword: (password: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

const root = join(import.meta.dirname, '../../..');
const baseImage = 'node-base:test';
/** The first start of a pod pulls an image of 150 MB. */
const longMs = 300_000;

/** The namespace of the webhook. */
export const own = 'image-cloner';
export const pullSecret = 'backup-pull';
export const user = { name: 'acme', password: 's3"cr\\et+/é' } as const satisfies RegistryUser;

const deploymentSchema = v.object({
  metadata: v.object({ annotations: v.optional(v.record(v.string(), v.string()), {}) }),
  spec: v.object({
    template: v.object({
      spec: v.object({ containers: v.tuple([v.object({ image: v.string() })]) }),
    }),
  }),
});

/**
 * Needs a real cluster with a node: KUBECONFIG (Knative Serving, Kourier's gateway, hostPath volumes on), HOST_IP (an address of this machine
 * that pods reach, and whose ports 5001 to 5004 the node pulls from by plain http) and DOCKER_HOST (the daemon whose socket the node has).
 */
export async function openStage(): Promise<Stage> {
  process.env['PATH'] = [join(root, 'node_modules/.bin'), process.env['PATH']].join(delimiter);
  const address = readVariable('HOST_IP');
  const backupDir = createTempDir('backup');
  const [images, source, backup] = await Promise.all([
    startRegistry({ address, port: 5001 }),
    startRegistry({ address, port: 5002 }),
    startRegistry({ address, port: 5003, users: [user], dir: backupDir }),
  ]);
  const gateHost = `${address}:5004`;
  const original = `${source.host}/team/web:1.0`;
  const env: Env = {
    KUBECONFIG: readVariable('KUBECONFIG'),
    DOCKER_HOST: readVariable('DOCKER_HOST'),
    OUT_DIR: createTempDir('certs'),
    BASE: baseImage,
    IMAGE: `${images.host}/image-cloner:v1`,
    CLONER: 'registry',
    PULL_SECRETS: 'true',
    INSECURE_REGISTRIES: [...[images, source, backup].map(({ host }) => host), gateHost].join(','),
    REGISTRY: backup.host,
    REGISTRY_NAMESPACE: 'backups',
    BACKUP_PULL_SECRET: pullSecret,
  };

  const docker: Stage['docker'] = (...args) => runOrThrow('docker', args, { env });
  const tryKubectl: Stage['tryKubectl'] = (args, stdin) =>
    runProgram('kubectl', args, {
      env,
      withinMs: longMs,
      ...(stdin !== undefined && { stdin: JSON.stringify(stdin) }),
    });
  const kubectl: Stage['kubectl'] = async (args, stdin) => {
    const { code, stdout, stderr } = await tryKubectl(args, stdin);
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}`);
    return stdout;
  };

  /** Diagnostics for failed tests. */
  async function describeTrouble(): Promise<string> {
    const commands = [
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
    const outputs = await Promise.all(commands.map((args) => tryKubectl(args)));
    return outputs.map(({ stdout, stderr }) => `${stdout}${stderr}`.slice(-4_000)).join('\n');
  }

  const runJust = (recipe: string | readonly string[], all: Env): Promise<ProgramResult> =>
    runProgram('just', ['--justfile', join(root, 'justfile'), ...[recipe].flat()], {
      env: all,
      withinMs: longMs,
    });
  const tryJust: Stage['tryJust'] = (recipe, more = {}) => runJust(recipe, { ...env, ...more });
  const { KUBECONFIG = '', OUT_DIR = '' } = env;
  const newShell: Stage['newShell'] = (recipe, more = {}) =>
    runJust(recipe, { KUBECONFIG, OUT_DIR, ...more });
  const just: Stage['just'] = async (recipe, more) => {
    const { code, stdout, stderr } = await tryJust(recipe, more);
    assert.equal(
      code,
      0,
      `just ${[recipe].flat().join(' ')}:\n${stdout}\n${stderr}\n${await describeTrouble()}`,
    );
    return stdout;
  };

  const waitForRollout: Stage['waitForRollout'] = async (namespace, name) => {
    const args = ['rollout', 'status', `deployment/${name}`, `--namespace=${namespace}`];
    const { code, stderr } = await tryKubectl([...args, '--timeout=90s']);
    assert.equal(code, 0, `${stderr}\n${await describeTrouble()}`);
  };

  // Removes an earlier installation; waits for its pods first, because Kubernetes retries deleting a namespace only after minutes.
  await tryKubectl(['wait', '--for=delete', 'pods', '--all', `--namespace=${own}`, '--timeout=2m']);
  await kubectl(['delete', 'namespace', own, '--ignore-not-found']);
  const sleep = { to: '/bin/sleep', change: 'ENTRYPOINT ["/bin/sleep", "infinity"]' };
  await importProgram(findProgram('sleep'), { name: original, ...sleep }, env);
  await docker('push', original);

  return {
    env,
    images,
    source,
    backup,
    original,
    docker,
    kubectl,
    tryKubectl,
    just,
    tryJust,
    newShell,
    waitForRollout,
    prepare: async (more = {}) => {
      await importProgram(process.execPath, { name: baseImage, to: '/usr/local/bin/node' }, env);
      await just('build', more);
      await docker('push', env['IMAGE'] ?? '');
      const namespace = more['NAMESPACE'] ?? own;
      await kubectl(['create', 'namespace', namespace]);
      const credentials = { username: user.name, password: user.password };
      const metadata = { name: 'registry-auth', namespace };
      await kubectl(['create', '--filename=-'], {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata,
        stringData: credentials,
      });
    },
    optIn: async (namespace, labelValue = 'image-cloner') => {
      await kubectl(['create', 'namespace', namespace]);
      await kubectl(['label', 'namespace', namespace, `image-cloner=${labelValue}`]);
      await kubectl([
        'create',
        'secret',
        'docker-registry',
        pullSecret,
        `--namespace=${namespace}`,
        `--docker-server=${backup.host}`,
        `--docker-username=${user.name}`,
        `--docker-password=${user.password}`,
      ]);
    },
    run: async (namespace, name, image = original) => {
      await kubectl(['apply', '--filename=-'], toDeployment(namespace, name, image));
      await waitForRollout(namespace, name);
    },
    stored: async (namespace, name) => {
      const args = ['get', 'deployment', name, `--namespace=${namespace}`, '--output=json'];
      const { metadata, spec } = v.parse(deploymentSchema, JSON.parse(await kubectl(args)));
      const [{ image }] = spec.template.spec.containers;
      return { image, annotations: metadata.annotations };
    },
    pushAs: async (name) => {
      const image = `${source.host}/${name}`;
      await docker('tag', original, image);
      await docker('push', image);
      return image;
    },
    pushDistinct: async (name) => {
      const image = `${source.host}/${name}`;
      await importProgram(findProgram('sleep'), { name: image, ...sleep, marker: name }, env);
      await docker('push', image);
      return image;
    },
    pulls: async () => {
      const requests = await backup.requests();
      return requests.filter(
        ({ userAgent, path, status }) =>
          userAgent.startsWith('containerd') && path.includes('/manifests/') && status === 200,
      ).length;
    },
    openGate: () => startGate(source, { address, port: 5004 }),
    changePassword: async (password) => {
      const line = await runOrThrow('htpasswd', ['-Bbn', '-C', '4', user.name, password]);
      await writeFile(join(backupDir, 'htpasswd'), line.trim());
    },
    close: async () => {
      await Promise.all([images, source, backup].map((registry) => registry.stop()));
    },
  };
}

/** A Deployment with one container and imagePullPolicy Always. */
export function toDeployment(namespace: string, name: string, image: string): object {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
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

function readVariable(name: string): string {
  const value = process.env[name] ?? '';
  if (value === '') throw new Error(`${name} is not set: these tests need a cluster with a node`);
  return value;
}

/** Builds an image from a program of this machine and its libraries, because the tests have no network. */
async function importProgram(
  program: string,
  {
    name,
    to,
    change = '',
    marker = '',
  }: {
    readonly name: string;
    readonly to: string;
    readonly change?: string;
    /** The content of a file of its own. */
    readonly marker?: string;
  },
  env: Env,
): Promise<void> {
  const dir = createTempDir('image');
  const libraries = (await runOrThrow('ldd', [program])).match(/\/\S+(?= \(0x)/g) ?? [];
  for (const from of [program, ...libraries]) {
    const path = join(dir, 'root', from === program ? to : from);
    await mkdir(dirname(path), { recursive: true });
    await cp(from, path, { dereference: true });
  }
  await writeFile(join(dir, 'root', 'marker'), marker);
  const tar = join(dir, 'root.tar');
  await runOrThrow('tar', ['--directory', join(dir, 'root'), '--create', '--file', tar, '.']);
  const flags = change === '' ? [] : ['--change', change];
  await runOrThrow('docker', ['import', ...flags, tar, name], { env });
}
