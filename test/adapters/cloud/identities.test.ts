import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type CloudIdentities, openCloudIdentities } from '../../../lib/adapters/cloud/index.ts';
import { openRegistryCloner } from '../../../lib/adapters/registry/index.ts';
import type { CopiedImage, Credentials, ImageCloner } from '../../../lib/index.ts';
import {
  answer,
  createMemoryRegistry,
  type Image,
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
import { createFakeMetadataServer } from '../../support/clouds/google.ts';
import { type ConnectProxy, serveConnectProxy } from '../../support/clouds/proxy.ts';
import { type CloudServer, serveCloud, setEnv } from '../../support/clouds/server.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

/** The identities with the real registry adapter, against a registry that is reached under a name of Amazon ECR. */
describe('openCloudIdentities', () => {
  let clock: FakeClock;
  let aws: FakeAws;
  let awsServer: CloudServer;
  let registry: MemoryRegistry;
  let served: ServedRegistry;
  let proxy: ConnectProxy;
  let identities: CloudIdentities;
  let cloner: ImageCloner;
  let image: Image;
  let restore: () => void;
  const { signal } = new AbortController();
  const path = 'backups/docker.io/library/nginx';

  beforeEach(async () => {
    clock = createFakeClock();
    aws = createFakeAws();
    awsServer = await serveCloud(aws.answer);
    registry = createMemoryRegistry({
      auth: { scheme: 'basic', users: { AWS: 'ecr-password' } },
    });
    image = makeImage();
    seed(registry, 'library/nginx:1', image);
    // Amazon ECR knows repositories only once they are created.
    registry.faults.add(
      ({ method, path: target }) =>
        method === 'POST' && target.includes(path) && !aws.repositories.has(path),
      answer(404),
    );
    served = await serveMemoryRegistry({ registry });
    const port = Number(served.host.split(':')[1]);
    proxy = await serveConnectProxy(() => port);
    restore = setEnv({
      AWS_REGION: region,
      AWS_ENDPOINT_URL_ECR: awsServer.url,
      AWS_ACCESS_KEY_ID: 'AKIA',
      AWS_SECRET_ACCESS_KEY: 'secret',
    });
    identities = openCloudIdentities({
      proxies: undefined,
      logger: createMemoryLog().logger,
      now: clock.now,
    });
    cloner = identities.wrap(
      openRegistryCloner({
        configuredHosts: [ecrDomain],
        insecureRegistries: [ecrDomain],
        trust: undefined,
        maxImageBytes: undefined,
        insideCluster: false,
        proxy: { https: '', http: proxy.url, no: '' },
        onResponse: () => undefined,
      }),
      ecrDomain,
    );
  });
  afterEach(async () => {
    restore();
    await proxy.close();
    await served.close();
    await awsServer.close();
  });

  async function copy(credentials: Credentials | undefined): Promise<CopiedImage> {
    const [source] = await identities
      .sources(['ecr'])
      .credentialsFor({ domain: ecrDomain, path: 'library/nginx' });
    return await cloner.copy(
      {
        source: { domain: ecrDomain, path: 'library/nginx', tag: '1', digest: image.digest },
        sourceAccess: { side: 'source', credentials: source },
        target: { domain: ecrDomain, path },
        targetAccess: { side: 'backup', credentials },
        firstTag: '1',
      },
      signal,
      () => undefined,
    );
  }

  async function push(credentials: Credentials | undefined): Promise<string> {
    const copied = await copy(credentials);
    await copied.release();
    return copied.digest;
  }

  it('creates a repository of Amazon ECR when the push finds none, and pushes again', async () => {
    const digest = await push(await identities.backup(ecrDomain)());

    assert.equal(digest, image.digest);
    assert.deepEqual(aws.calls, ['GetAuthorizationToken', 'CreateRepository']);
    const found = await cloner.resolve(
      { domain: ecrDomain, path, tag: '1' },
      { side: 'backup', credentials: await identities.backup(ecrDomain)() },
      signal,
    );
    assert.equal(found?.digest, image.digest);
  });

  it('creates no repository of Amazon ECR if the account created it on push', async () => {
    aws.repositories.add(path);

    await push(await identities.backup(ecrDomain)());

    assert.deepEqual(aws.calls, ['GetAuthorizationToken']);
  });

  it('names the IAM action if the identity may not create a repository of Amazon ECR', async () => {
    aws.faults.set('CreateRepository', [ecrError('AccessDeniedException', 'no')]);

    await assert.rejects(push(await identities.backup(ecrDomain)()), {
      code: 'BACKUP_DENIED',
      message: `the backup registry ${ecrDomain} has no repository ${path}, and the identity may not create it: allow ecr:CreateRepository and ecr:TagResource, or create it`,
    });
  });

  it('tells a registry that does not have the created repository from a missing one', async () => {
    registry.faults.add(
      ({ method, path: target }) => method === 'POST' && target.includes(path),
      answer(404),
    );

    await assert.rejects(push(await identities.backup(ecrDomain)()), {
      code: 'BACKUP_NOT_FOUND',
      message: `the repository ${path} exists for the identity, but the backup registry ${ecrDomain} does not have it: check that REGISTRY names the account and region of the identity`,
    });
  });

  it('gets new credentials of an identity and repeats the call when a registry refuses the old ones', async () => {
    aws.repositories.add(path);
    aws.password = 'revoked';
    const credentials = await identities.backup(ecrDomain)();
    await clock.advance(60_000);
    aws.password = 'ecr-password';

    const digest = await push(credentials);

    assert.equal(digest, image.digest);
    assert.equal(aws.calls.length, 2);
  });

  it('writes the last tags with new credentials if the old ones ended during the copy', async () => {
    aws.repositories.add(path);
    aws.password = 'ends soon';
    const current = `Basic ${Buffer.from('AWS:ecr-password').toString('base64')}`;
    const isValid = registry.faults.add(
      () => true,
      async (exchange, next) =>
        await next({
          ...exchange,
          headers: new Headers({ ...Object.fromEntries(exchange.headers), authorization: current }),
        }),
      { beforeAuth: true },
    );
    const credentials = await identities.backup(ecrDomain)();
    const copied = await copy(credentials);
    isValid.end();
    await clock.advance(60_000);
    aws.password = 'ecr-password';

    await copied.writeTags(['2'], signal);
    await copied.release();

    assert.equal(registry.store.manifest(path, '2')?.digest, image.digest);
  });

  it('names the identity and the setting if a registry refuses new credentials too', async () => {
    aws.repositories.add(path);
    aws.password = 'wrong';
    const credentials = await identities.backup(ecrDomain)();
    const image = { domain: ecrDomain, path, tag: '1' };

    const listed = cloner.listTags?.(image, { side: 'backup', credentials }, signal);

    await assert.rejects(listed ?? Promise.resolve(), {
      code: 'BACKUP_DENIED',
      message: new RegExp(
        `^the backup registry ${ecrDomain} denied the cloud identity \\(REGISTRY_AUTH=ecr\\) access to ${ecrDomain}/${path}:1 \\(.*\\): give the identity the right to push and pull there$`,
      ),
    });
    assert.equal(aws.calls.length, 1);
  });

  it('names SOURCE_CLOUD_AUTH if a source refuses the identity', async () => {
    aws.password = 'wrong';
    const source = { domain: ecrDomain, path: 'library/nginx', tag: '1' };
    const [credentials] = await identities.sources(['ecr']).credentialsFor(source);

    const resolved = cloner.resolve(source, { side: 'source', credentials }, signal);

    await assert.rejects(resolved, {
      code: 'SOURCE_DENIED',
      message: new RegExp(`^${ecrDomain} denied the cloud identity \\(SOURCE_CLOUD_AUTH\\) access`),
    });
  });

  it('opens sources of the listed clouds only', async () => {
    const sources = identities.sources(['ecr']);

    assert.deepEqual(await sources.credentialsFor({ domain: 'gcr.io', path: 'a' }), []);
    assert.deepEqual(await sources.credentialsFor({ domain: 'ghcr.io', path: 'a' }), []);
    assert.deepEqual(aws.calls, []);
  });

  it('shares a token of Amazon ECR among the registries of a region, and a token of Google among all', async () => {
    const metadata = createFakeMetadataServer();
    const google = await serveCloud(metadata.answer);
    const restoreGoogle = setEnv({
      GCE_METADATA_HOST: google.host,
      METADATA_SERVER_DETECTION: 'assume-present',
      GOOGLE_APPLICATION_CREDENTIALS: undefined,
      HOME: '/nowhere',
    });
    try {
      const sources = identities.sources(['ecr', 'gar']);
      const other = ecrDomain.replace('123456789012', '210987654321');
      for (const domain of [ecrDomain, other, 'gcr.io', 'us-docker.pkg.dev']) {
        assert.equal((await sources.credentialsFor({ domain, path: 'a' })).length, 1);
      }

      assert.deepEqual(aws.calls, ['GetAuthorizationToken']);
      assert.equal(metadata.scopes.length, 1);
    } finally {
      restoreGoogle();
      await google.close();
    }
  });

  it('does not let a silent identity service exceed the time of a review', async () => {
    aws.faults.set('GetAuthorizationToken', ['silence']);

    await assert.rejects(identities.backup(ecrDomain)({ ms: 1, signal }), {
      name: 'CloneError',
      code: 'BACKUP_UNAVAILABLE',
    });
  });
});
