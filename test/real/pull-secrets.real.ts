import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import * as v from 'valibot';
import { createPullSecrets } from '../../lib/adapters/credentials/pull-secrets.ts';
import { openNamespaceReader } from '../../lib/adapters/kubernetes/index.ts';
import { openRegistryCloner } from '../../lib/adapters/registry/index.ts';
import { createCheckSource } from '../../lib/cloner/source/check-source.ts';
import type { Credentials, ImageCloner, WorkloadSecrets } from '../../lib/index.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { type ApiServer, startApiServer } from './support/api-server.ts';
import { type Registry, startRegistry } from './support/docker-registry.ts';
import { eventually } from './support/eventually.ts';
import { pushImage } from './support/images.ts';
import { createTempDir } from './support/janitor.ts';
import { writeKubeconfig } from './support/kubeconfig.ts';

const roleFile = 'knative/pull-secrets.yaml';
const us = 'system:serviceaccount:image-cloner:image-cloner';
const reader = { name: 'reader', password: 'pa"ss\\wörd+/=' };
const { signal } = new AbortController();

/** Audit policy: logs each request of the webhook with its object and status. */
const auditPolicy = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata', users: [us] }, { level: 'None' }],
};
const eventSchema = v.object({
  verb: v.string(),
  requestURI: v.string(),
  responseStatus: v.object({ code: v.number() }),
});

describe('pull secrets with a real API server', () => {
  const dir = createTempDir('pull-secrets');
  const auditFile = join(dir, 'audit.log');
  let server: ApiServer;
  let registry: Registry;
  let backup: Registry;
  let cloner: ImageCloner;
  let digest: string;
  let kubeconfigFile: string;
  let secrets: WorkloadSecrets;
  const log = createMemoryLog();
  const clock = { now: Date.now() };

  before(async () => {
    const policyFile = join(dir, 'audit-policy.json');
    await writeFile(policyFile, JSON.stringify(auditPolicy));
    [server, registry, backup] = await Promise.all([
      startApiServer([`--audit-policy-file=${policyFile}`, `--audit-log-path=${auditFile}`]),
      startRegistry({ users: [reader] }),
      startRegistry(),
    ]);
    digest = await pushImage(registry, 'team/app:1');
    cloner = openRegistryCloner({
      configuredHosts: [],
      insecureRegistries: [],
      trust: undefined,
      maxImageBytes: undefined,
      insideCluster: false,
      proxy: undefined,
      onResponse: () => undefined,
    });
    for (const name of ['image-cloner', 'a', 'b']) await server.createNamespace(name);
    await server.mustKubectl(['create', 'serviceaccount', 'image-cloner', '-n', 'image-cloner']);
    for (const namespace of ['a', 'b']) await fill(namespace);
    await server.mustKubectl(['apply', '-n', 'a', '-f', roleFile]);
    const token = await server.mustKubectl([
      'create',
      'token',
      'image-cloner',
      '-n',
      'image-cloner',
    ]);
    kubeconfigFile = await configure('config', token.trim());
  });
  after(async () => {
    await Promise.all([server.stop(), registry.stop(), backup.stop()]);
  });
  beforeEach(async () => {
    secrets = await open(kubeconfigFile);
  });

  async function open(file: string): Promise<WorkloadSecrets> {
    const { logger } = log;
    return createPullSecrets({
      reader: await openNamespaceReader({ kubeconfigFile: file, insideCluster: false, logger }),
      logger,
      now: () => clock.now,
    });
  }

  /** Creates `pod-pull` and `wrong` (dockerconfigjson), `account-pull` (dockercfg) on the ServiceAccount, and an Opaque Secret. */
  async function fill(namespace: string): Promise<void> {
    const create = async (name: string, user: string, password: string): Promise<void> => {
      await server.mustKubectl([
        'create',
        'secret',
        'docker-registry',
        name,
        `--namespace=${namespace}`,
        `--docker-server=${registry.host}`,
        `--docker-username=${user}`,
        `--docker-password=${password}`,
      ]);
    };
    await create('pod-pull', reader.name, reader.password);
    await create('wrong', 'reader', 'wrong');
    await create('unnamed', 'nobody', 'unnamed');
    const dockercfg = { [`http://${registry.host}/v2/`]: { auth: toAuth(reader) } };
    const old = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'account-pull', namespace },
      type: 'kubernetes.io/dockercfg',
      stringData: { '.dockercfg': JSON.stringify(dockercfg) },
    };
    await server.mustKubectl(['create', '-f', '-'], JSON.stringify(old));
    await server.mustKubectl([
      'create',
      'secret',
      'generic',
      'opaque',
      `--namespace=${namespace}`,
      '--from-literal=.dockerconfigjson={}',
    ]);
    const imagePullSecrets = [{ name: 'account-pull' }];
    const patch = JSON.stringify({ imagePullSecrets });
    await server.mustKubectl(['patch', 'serviceaccount', 'default', '-n', namespace, '-p', patch]);
  }

  const configure = (name: string, token: string): Promise<string> =>
    writeKubeconfig({ file: join(dir, name), url: server.url, token });

  async function credentialsOf(
    namespace: string,
    names: readonly string[],
  ): Promise<{ readonly found: readonly Credentials[]; readonly warnings: readonly string[] }> {
    const { keyring, warnings } = await secrets.keyring({ namespace, names }, signal);
    return { found: keyring.find({ domain: registry.host, path: 'team/app' }), warnings };
  }

  /** The audit log of `work`: `200 get /api/v1/namespaces/a/secrets/x`. */
  async function audited(work: () => Promise<unknown>): Promise<readonly string[]> {
    const earlier = (await readAudit(auditFile)).length;
    await work();
    // The log is written after the response, so a marker request flushes it.
    clock.now += 60_000;
    const mark = `mark-${clock.now}`;
    await secrets.hasSecret('a', mark, signal);
    const lines = await eventually('the audit log is complete', async () => {
      const all = await readAudit(auditFile);
      return all.some((line) => line.endsWith(mark)) ? all : undefined;
    });
    return lines
      .slice(earlier)
      .filter((line) => !line.includes('/mark-'))
      .toSorted();
  }

  const readerCredentials = { username: reader.name, password: reader.password };

  it("reads only the pod's own pull secrets in a namespace with the Role", async () => {
    const seen = await audited(async () => {
      const { found, warnings } = await credentialsOf('a', ['wrong', 'pod-pull', 'opaque']);

      assert.deepEqual(found, [{ username: 'reader', password: 'wrong' }, readerCredentials]);
      assert.deepEqual(warnings, []);
    });

    assert.deepEqual(seen, [
      '200 get /api/v1/namespaces/a/secrets/opaque',
      '200 get /api/v1/namespaces/a/secrets/pod-pull',
      '200 get /api/v1/namespaces/a/secrets/wrong',
    ]);
  });

  it("reads the ServiceAccount's dockercfg pull secret if the pod names none", async () => {
    const seen = await audited(async () => {
      assert.deepEqual(await credentialsOf('a', []), { found: [readerCredentials], warnings: [] });
    });

    assert.deepEqual(seen, [
      '200 get /api/v1/namespaces/a/secrets/account-pull',
      '200 get /api/v1/namespaces/a/serviceaccounts/default',
    ]);
    assert.deepEqual(await secrets.serviceAccountSecrets('a', 'default', signal), ['account-pull']);
  });

  it('warns with the command that grants access in a namespace without the Role', async () => {
    const warnings = ['RBAC denies its pull secrets: run "just pull-secret b"'];

    const seen = await audited(async () => {
      assert.deepEqual(await credentialsOf('b', ['pod-pull', 'wrong']), { found: [], warnings });
      assert.deepEqual(await credentialsOf('b', []), { found: [], warnings });
      assert.equal(await secrets.hasSecret('b', 'pod-pull', signal), undefined);
      assert.equal(await secrets.serviceAccountSecrets('b', 'default', signal), undefined);
    });

    assert.deepEqual(seen, [
      '403 get /api/v1/namespaces/b/secrets/pod-pull',
      '403 get /api/v1/namespaces/b/secrets/wrong',
      '403 get /api/v1/namespaces/b/serviceaccounts/default',
    ]);
  });

  it('distinguishes a missing pull secret from an existing one in a namespace with the Role', async () => {
    const answers = await Promise.all(
      ['pod-pull', 'opaque', 'missing'].map((name) => secrets.hasSecret('a', name, signal)),
    );

    assert.deepEqual(answers, [true, true, false]);
    assert.deepEqual(await credentialsOf('a', ['missing']), {
      found: [],
      warnings: ['pull secret "missing" does not exist in its namespace'],
    });
  });

  it('sends no request for pull secret names with path segments', async () => {
    const seen = await audited(async () => {
      await credentialsOf('a', ['..', '../../b/secrets/pod-pull', '']);
      await credentialsOf('../b', ['pod-pull']);
    });

    assert.deepEqual(seen, []);
  });

  it('copies an image with the pull secret that works after a wrong one', async () => {
    const { keyring } = await secrets.keyring(
      { namespace: 'a', names: ['wrong', 'pod-pull'] },
      signal,
    );
    const source = { domain: registry.host, path: 'team/app', tag: '1' };
    const check = createCheckSource({
      cloner,
      credentials: { credentialsFor: (image) => Promise.resolve(keyring.find(image)) },
      now: Date.now,
    });

    const checked = await check(source, { budgetMs: 10_000, hasBackup: false, signal });
    const copied = await cloner.copy(
      {
        source: { domain: source.domain, path: source.path, digest: checked.digest },
        sourceAccess: checked.access,
        target: { domain: backup.host, path: 'copies/app' },
        targetAccess: { side: 'backup' },
        firstTag: '1',
      },
      signal,
      () => undefined,
    );
    await copied.release();

    assert.equal(checked.digest, digest);
    assert.deepEqual(checked.access.credentials, readerCredentials);
    assert.equal(await backup.digest('copies/app', '1'), digest);
  });

  it('denies a private image to a namespace without the Role', async () => {
    const { keyring } = await secrets.keyring({ namespace: 'b', names: ['pod-pull'] }, signal);
    const check = createCheckSource({
      cloner,
      credentials: { credentialsFor: (image) => Promise.resolve(keyring.find(image)) },
      now: Date.now,
    });
    const source = { domain: registry.host, path: 'team/app', tag: '1' };

    await assert.rejects(check(source, { budgetMs: 10_000, hasBackup: false, signal }), {
      name: 'CloneError',
      code: 'SOURCE_DENIED',
    });
  });

  it('uses a new Role and a corrected Secret after the cache of pull secrets is cleared', async () => {
    await server.createNamespace('later');
    await fill('later');
    assert.deepEqual((await credentialsOf('later', ['pod-pull'])).found, []);

    await server.mustKubectl(['apply', '-n', 'later', '-f', roleFile]);
    const found = await eventually('RBAC has seen the Role', async () => {
      clock.now += 1_000;
      secrets.forget('later');
      const answer = await credentialsOf('later', ['pod-pull']);
      return answer.found.length > 0 ? answer : undefined;
    });

    assert.deepEqual(found, { found: [readerCredentials], warnings: [] });
  });

  it('pull-secrets.yaml grants only get on Secrets and ServiceAccounts', async () => {
    const may = async (...args: readonly string[]): Promise<boolean> =>
      (await server.kubectl(['auth', 'can-i', ...args, `--as=${us}`, '-q'])).code === 0;

    assert.equal(await may('get', 'secrets', '-n', 'a'), true);
    assert.equal(await may('get', 'serviceaccounts', '-n', 'a'), true);
    for (const verb of ['list', 'watch', 'create', 'update', 'patch', 'delete'])
      for (const kind of ['secrets', 'serviceaccounts'])
        assert.equal(await may(verb, kind, '-n', 'a'), false, `${verb} ${kind}`);
    assert.equal(await may('create', 'serviceaccounts/token', '-n', 'a'), false);
    assert.equal(await may('get', 'configmaps', '-n', 'a'), false);
    assert.equal(await may('get', 'secrets', '-n', 'b'), false);
    assert.equal(await may('get', 'secrets', '-n', 'image-cloner'), false);
    assert.equal(await may('get', 'secrets', '--all-namespaces'), false);
  });

  it('reports pull secrets as unavailable for a rejected token and for an API server that is down', async () => {
    const silence = {
      found: [],
      warnings: ['its pull secrets could not be read: the API server did not answer'],
    };
    secrets = await open(await configure('stale', 'n0t-a-token'));
    assert.deepEqual(await credentialsOf('a', ['pod-pull']), silence);

    secrets = await open(kubeconfigFile);
    assert.deepEqual((await credentialsOf('a', ['pod-pull'])).found, [readerCredentials]);
    await server.stop();
    clock.now += 60_000;

    assert.deepEqual(await credentialsOf('a', ['pod-pull']), silence);
    const written = JSON.stringify(log.lines);
    for (const quoted of [reader.password, toAuth(reader), 'n0t-a-token'])
      assert.ok(!written.includes(JSON.stringify(quoted).slice(1, -1)), 'a secret in the log');
  });
});

function toAuth({ name, password }: typeof reader): string {
  return Buffer.from(`${name}:${password}`).toString('base64');
}

async function readAudit(file: string): Promise<readonly string[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const whole = text.split('\n').slice(0, -1);
  return whole.map((line) => {
    const { verb, requestURI, responseStatus } = v.parse(eventSchema, JSON.parse(line));
    return `${responseStatus.code} ${verb} ${requestURI}`;
  });
}
