import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import * as v from 'valibot';
import {
  answer,
  createMemoryRegistry,
  type MemoryRegistry,
  makeImage,
  type ServedRegistry,
  seed,
  serveMemoryRegistry,
} from '../../../lib/memory-registry/index.ts';
import {
  createFakeAws,
  ecrDomain,
  ecrError,
  type FakeAws,
  region,
} from '../../support/clouds/aws.ts';
import { type ConnectProxy, serveConnectProxy } from '../../support/clouds/proxy.ts';
import { type CloudServer, serveCloud } from '../../support/clouds/server.ts';
import { entranceCommand } from '../../support/entrance-command.ts';
import { review } from '../../support/reviews.ts';

const answerSchema = v.object({
  response: v.object({
    allowed: v.boolean(),
    patch: v.optional(v.string()),
    status: v.optional(v.object({ message: v.string() })),
    auditAnnotations: v.optional(v.record(v.string(), v.string())),
  }),
});

/** Runs the real process with the SDK of AWS, against a registry that is reached under a name of Amazon ECR. */
describe('functions/webhook/main.ts with REGISTRY_AUTH=ecr', () => {
  let dir: string;
  let aws: FakeAws;
  let awsServer: CloudServer;
  let registry: MemoryRegistry;
  let served: ServedRegistry;
  let proxy: ConnectProxy;
  const children: ChildProcess[] = [];

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'identity-'));
    await writeFile(join(dir, 'token'), 'web-token');
  });
  after(async () => {
    await rm(dir, { recursive: true });
  });
  beforeEach(async () => {
    aws = createFakeAws();
    awsServer = await serveCloud(aws.answer);
    registry = createMemoryRegistry({
      auth: {
        scheme: 'basic',
        users: { AWS: 'ecr-password' },
        isPublic: (name) => name === 'library/nginx',
      },
    });
    seed(registry, 'library/nginx:1', makeImage());
    registry.faults.add(({ method, path }) => {
      const [, name = ''] = /^\/v2\/(backups\/.+)\/blobs\/uploads\//.exec(path) ?? [];
      return method === 'POST' && name !== '' && !aws.repositories.has(name);
    }, answer(404));
    served = await serveMemoryRegistry({ registry });
    const port = Number(served.host.split(':')[1]);
    proxy = await serveConnectProxy(() => port);
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await proxy.close();
    await served.close();
    await awsServer.close();
  });

  async function freePort(): Promise<number> {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, resolve);
    });
    const address = server.address();
    server.close();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async function start(): Promise<number> {
    const port = await freePort();
    const command = entranceCommand('webhook');
    const child = spawn(process.execPath, command.args, {
      env: {
        ...command.env,
        PORT: String(port),
        CLONER: 'registry',
        REGISTRY: ecrDomain,
        REGISTRY_AUTH: 'ecr',
        REGISTRY_NAMESPACE: 'backups',
        NAMING: 'nested',
        INSECURE_REGISTRIES: `${ecrDomain},source.test`,
        HTTP_PROXY: proxy.url,
        NO_PROXY: '127.0.0.1',
        AWS_REGION: region,
        AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/cloner',
        AWS_WEB_IDENTITY_TOKEN_FILE: join(dir, 'token'),
        AWS_ENDPOINT_URL_STS: awsServer.url,
        AWS_ENDPOINT_URL_ECR: awsServer.url,
        AWS_EC2_METADATA_DISABLED: 'true',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    let output = '';
    await new Promise<void>((resolve, reject) => {
      child.stdout?.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        if (output.includes('"ready"')) resolve();
      });
      child.once('close', () => reject(new Error(`the process ended: ${output}`)));
    });
    return port;
  }

  async function ask(port: number, timeout: string): Promise<v.InferOutput<typeof answerSchema>> {
    const object = {
      metadata: {},
      spec: { containers: [{ name: 'web', image: 'source.test/library/nginx:1' }] },
    };
    const response = await fetch(`http://127.0.0.1:${port}/clone-image?timeout=${timeout}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(review({ kind: '/Pod', object })),
    });
    return v.parse(answerSchema, await response.json());
  }

  const refusalOf = ({ response }: v.InferOutput<typeof answerSchema>): string =>
    response.status?.message ?? '';

  it('the webhook copies into a new repository of Amazon ECR with the web identity of its pod', async () => {
    const port = await start();

    const { response } = await ask(port, '30s');

    assert.equal(response.allowed, true);
    const patch = Buffer.from(response.patch ?? '', 'base64').toString();
    assert.ok(patch.includes(`${ecrDomain}/backups/source.test/library/nginx:1`), patch);
    assert.deepEqual([...aws.repositories], ['backups/source.test/library/nginx']);
  });

  it('the webhook refuses a review within its time if the identity service is silent', async () => {
    aws.faults.set('AssumeRoleWithWebIdentity', ['silence', 'silence', 'silence', 'silence']);
    const port = await start();

    const refused = await ask(port, '2s');

    assert.equal(refused.response.allowed, false);
    assert.ok(
      refusalOf(refused).includes(
        `no credentials for the backup registry ${ecrDomain}: the identity service did not answer in time`,
      ),
      refusalOf(refused),
    );
    // Nothing was tried without credentials.
    assert.equal(registry.requests.bytesIn(), 0);
  });

  it('the webhook names the IAM action that its identity lacks', async () => {
    const denied = ecrError('AccessDeniedException', 'no');
    aws.faults.set('GetAuthorizationToken', [denied, denied]);
    const port = await start();

    const refused = await ask(port, '10s');

    assert.ok(
      refusalOf(refused).includes(
        'AWS refused ecr:GetAuthorizationToken: allow it in the IAM policy of the role (AccessDeniedException)',
      ),
      refusalOf(refused),
    );
  });
});
