import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createEnsureBackup, type EnsureBackup } from '../../../lib/cloner/ensure-backup.ts';
import { createCopies } from '../../../lib/cloner/queue/copies.ts';
import type { CloneOutcome, RegistryAccess, ResolvedImage } from '../../../lib/index.ts';
import {
  answer,
  changeHeaders,
  makeImage,
  makeIndex,
  on,
  redirect,
  seed,
} from '../../../lib/memory-registry/index.ts';
import { createMemoryLog } from '../../support/memory-log.ts';
import { type Bench, forgottenUploads, type Served, useBench, walk } from './bench.ts';

const { signal } = new AbortController();
const image = makeImage();
const index = makeIndex([image, makeImage({ platform: 'linux/arm64' })]);
const credentials = { username: 'acme', password: 'secret' };
const users = { acme: 'secret' };

const open = useBench();

async function resolve(
  { cloner }: Bench,
  { host }: Served,
  access: RegistryAccess = { side: 'source' },
  tag = '1',
): Promise<ResolvedImage | undefined> {
  return await cloner.resolve({ domain: host, path: 'app', tag }, access, signal);
}

describe('createRegistryCloner, resolve', () => {
  it('distinguishes an index from an image, whatever parameters its media type has', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', index);
    bench.source.faults.add(
      on('HEAD', 'manifest'),
      changeHeaders({ 'content-type': `${index.mediaType}; charset=utf-8` }),
    );

    assert.deepEqual(await resolve(bench, bench.source), { digest: index.digest, isIndex: true });
  });

  it('sends one request to resolve a tag', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);

    await resolve(bench, bench.source);

    assert.deepEqual(bench.source.requests.tally(), { 'HEAD manifest': 1 });
  });

  for (const status of [401, 403, 405]) {
    it(`resolves a tag by GET if the registry answers HEAD with ${status}`, async () => {
      const bench = await open();
      seed(bench.source, 'app:1', index);
      bench.source.faults.add(on('HEAD', 'manifest'), answer(status));

      assert.deepEqual(await resolve(bench, bench.source), { digest: index.digest, isIndex: true });
    });
  }

  it('reads the manifest if the HEAD response has no digest', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    bench.source.faults.add(() => true, changeHeaders({ 'docker-content-digest': undefined }));

    assert.deepEqual(await resolve(bench, bench.source), { digest: image.digest, isIndex: false });
  });

  it('does not take 403 for an absent tag', async () => {
    const bench = await open();
    bench.source.faults.add(() => true, answer(403));

    await assert.rejects(resolve(bench, bench.source, { side: 'backup' }), {
      code: 'BACKUP_DENIED',
    });
    await assert.rejects(resolve(bench, bench.source), {
      code: 'SOURCE_DENIED',
      message: `${bench.source.host} denied access to ${bench.source.host}/app:1: the image is private or does not exist`,
    });
  });

  it('rejects a schema 1 image and names that format', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    bench.source.faults.add(
      on('HEAD', 'manifest'),
      changeHeaders({
        'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws; charset=utf-8',
      }),
    );

    await assert.rejects(resolve(bench, bench.source), {
      code: 'SOURCE_UNSUPPORTED',
      message: `${bench.source.host}/app:1 cannot be copied: its manifest has the schema 1 format, which nodes no longer run; push it again with a current client`,
    });
  });

  for (const scheme of ['basic', 'bearer'] as const) {
    it(`reports DENIED for a wrong password at a public image with ${scheme}, so that anonymous access is tried next`, async () => {
      const bench = await open({ source: { auth: { scheme, users, isPublic: () => true } } });
      seed(bench.source, 'app:1', image);
      const wrong = { username: 'acme', password: 'wrong' };

      // The in-memory registry leaves public images open to Basic, so the fault rejects the password.
      await assert.rejects(resolve(bench, bench.source, { side: 'backup', credentials: wrong }), {
        code: 'BACKUP_DENIED',
      });
      assert.equal((await resolve(bench, bench.source))?.digest, image.digest);
    });
  }

  it('sends at most two requests to resolve a tag, and waits at most half a second', async () => {
    const bench = await open();
    const down = bench.source.faults.add(() => true, answer(503));

    await assert.rejects(resolve(bench, bench.source), {
      code: 'SOURCE_UNAVAILABLE',
      message: `${bench.source.host} returned an error for ${bench.source.host}/app:1: resolving the reference: status 503`,
    });
    assert.equal(down.hits(), 2);
    assert.deepEqual(bench.pauses, [250]);
  });

  it('does not wait for the end of a rate limit to resolve a tag', async () => {
    const bench = await open();
    const limit = bench.source.faults.add(
      () => true,
      answer(429, { headers: { 'retry-after': '30' } }),
    );

    for (const _ of [1, 2]) {
      await assert.rejects(resolve(bench, bench.source), { code: 'SOURCE_RATE_LIMITED' });
    }
    assert.equal(limit.hits(), 1);
    assert.deepEqual(bench.pauses, []);
  });

  for (const domain of ['127.0.0.1:99999', '1.2.3.4.5:1', '[:::]']) {
    it(`rejects ${domain} as a registry host`, async () => {
      const bench = await open();

      await assert.rejects(
        bench.cloner.resolve({ domain, path: 'a/b', tag: '1' }, { side: 'source' }, signal),
        {
          name: 'CloneError',
          code: 'SOURCE_UNSUPPORTED',
          message: `${domain}/a/b:1 cannot be copied: ${domain} is not a valid registry host`,
        },
      );
    });
  }

  it('follows no redirect to a metadata address', async () => {
    const bench = await open();
    bench.source.faults.add(
      () => true,
      redirect(() => 'http://169.254.169.254/latest/meta-data/'),
    );

    await assert.rejects(resolve(bench, bench.source), {
      code: 'SOURCE_REFUSED',
      message: `${bench.source.host} did not serve ${bench.source.host}/app:1: resolving the reference: the egress policy forbids the address`,
    });
  });
});

describe('createRegistryCloner, copy', () => {
  it('reads a manifest by its tag when the registry does not serve it by its digest', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    bench.source.faults.add(({ path }) => path.includes('/manifests/sha256:'), answer(404));

    await bench.copy('app', image.digest);

    assert.deepEqual(walk(bench.backup, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
  });

  it('rejects a tag with another digest when the registry does not serve the manifest by its digest', async () => {
    const bench = await open();
    seed(bench.source, 'app', image);
    seed(bench.source, 'app:1', makeImage({ seed: 'other' }));
    bench.source.faults.add(({ path }) => path.includes('/manifests/sha256:'), answer(404));

    await assert.rejects(bench.copy('app', image.digest), { code: 'SOURCE_NOT_FOUND' });
  });

  it('sends source and backup only their own passwords', async () => {
    const other = { username: 'reader', password: 'other' };
    const bench = await open({
      source: { auth: { scheme: 'basic', users: { reader: 'other' } } },
      backup: { auth: { scheme: 'bearer', users } },
    });
    seed(bench.source, 'app:1', index);

    await bench.copy('app', index.digest, {
      sourceAccess: { side: 'source', credentials: other },
      targetAccess: { side: 'backup', credentials },
    });

    const seen = ({ requests }: Served, kind?: 'token'): readonly (string | null)[] => [
      ...new Set(
        requests.list(kind && { kind }).map(({ headers }) => headers.get('authorization')),
      ),
    ];
    // `reader:other` and `acme:secret`.
    assert.deepEqual(seen(bench.source), [null, 'Basic cmVhZGVyOm90aGVy']);
    assert.deepEqual(seen(bench.backup, 'token'), ['Basic YWNtZTpzZWNyZXQ=']);
    assert.deepEqual(walk(bench.backup, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
  });

  it('fetches a new token when all tokens expire during a copy', async () => {
    const bench = await open({
      source: { auth: { scheme: 'bearer', users, isPublic: () => true } },
      backup: { auth: { scheme: 'bearer', users } },
    });
    seed(bench.source, 'app:1', index);
    const expire = bench.backup.faults.add(
      on('HEAD', 'blob'),
      async (exchange, next) => {
        bench.source.tokens?.expire();
        bench.backup.tokens?.expire();
        return await next(exchange);
      },
      { times: 1 },
    );

    await bench.copy('app', index.digest, { targetAccess: { side: 'backup', credentials } });

    assert.equal(expire.hits(), 1);
    assert.deepEqual(walk(bench.backup, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
  });

  it('cancels upload sessions with a token that allows deletion', async () => {
    const bench = await open({ backup: { auth: { scheme: 'bearer', users } } });
    seed(bench.source, 'app:1', image);
    bench.backup.faults.add(on('PUT', 'upload'), answer(400));

    await assert.rejects(
      bench.copy('app', image.digest, { targetAccess: { side: 'backup', credentials } }),
      { code: 'BACKUP_REFUSED' },
    );
    assert.deepEqual(bench.backup.store.uploads.list(), []);
    assert.deepEqual(forgottenUploads(bench.backup), []);
  });

  // Registries with immutable tags refuse also a write that changes nothing, each in its own way.
  for (const [refusal, status, body, said] of [
    [
      'TAG_INVALID',
      400,
      '{"errors":[{"code":"TAG_INVALID","message":"the tag is immutable"}]}',
      'did not accept',
    ],
    [
      'DENIED',
      403,
      '{"errors":[{"code":"DENIED","message":"the tag is immutable"}]}',
      'denied access to',
    ],
    ['a conflict', 409, '', 'did not accept'],
    ['a failed precondition', 412, '', 'did not accept'],
  ] as const) {
    const refusePut = (bench: Bench): void => {
      bench.backup.faults.add(
        ({ method, path }) => method === 'PUT' && path.endsWith('/manifests/first'),
        answer(status, { body }),
      );
    };

    it(`completes a copy whose immutable tag holds the image already and is refused with ${refusal}`, async () => {
      const bench = await open();
      seed(bench.source, 'app:1', image);
      seed(bench.backup, 'acme/app:first', image);
      refusePut(bench);

      await bench.copy('app', image.digest);

      assert.equal(bench.backup.store.manifest('acme/app', 'last')?.digest, image.digest);
    });

    it(`fails a copy whose immutable tag holds another image and is refused with ${refusal}`, async () => {
      const bench = await open();
      seed(bench.source, 'app:1', image);
      seed(bench.backup, 'acme/app:first', makeImage({ seed: 'other' }));
      refusePut(bench);

      await assert.rejects(bench.copy('app', image.digest), {
        message: new RegExp(`^the backup registry ${bench.backup.host} ${said}`),
      });
      assert.deepEqual(bench.backup.store.tags('acme/app'), ['first']);
    });
  }

  it('fails with the refusal of the write when an immutable tag cannot be read either', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    bench.backup.faults.add(
      ({ path }) => path.endsWith('/manifests/first'),
      answer(403, { body: '{"errors":[{"code":"DENIED","message":"no"}]}' }),
    );

    await assert.rejects(bench.copy('app', image.digest), {
      code: 'BACKUP_DENIED',
      message: /writing the manifest/,
    });
  });

  it('waits for the end of a rate limit during a copy', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    bench.source.faults.add(
      on('GET', 'manifest'),
      answer(429, { headers: { 'retry-after': '30' } }),
      { times: 1 },
    );

    await bench.copy('app', image.digest);

    assert.ok(bench.pauses.length > 0);
    assert.deepEqual(walk(bench.backup, 'acme/app', 'last'), walk(bench.source, 'app', '1'));
  });

  it('names the side that goes down during a copy', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', image);
    await bench.backup.close();

    await assert.rejects(bench.copy('app', image.digest), {
      code: 'BACKUP_UNAVAILABLE',
      message:
        /^the backup registry 127\.0\.0\.1:\d+ cannot be reached for .*: connection refused$/,
    });
    await bench.backup.reopen();
    await bench.copy('app', image.digest);
    await bench.source.close();
    await assert.rejects(bench.copy('app', image.digest), { code: 'SOURCE_UNAVAILABLE' });
  });
});

describe('createRegistryCloner under the policy', () => {
  function policy({ cloner }: Bench): EnsureBackup {
    return createEnsureBackup({
      cloner,
      copies: createCopies(),
      sourceCredentials: { credentialsFor: () => Promise.resolve([]) },
      backupCredentials: () => Promise.resolve(credentials),
      pinDigests: false,
      adoptExisting: false,
      clusterId: '',
      privateToPublic: 'deny',
      logger: createMemoryLog().logger,
      observer: {
        reviewed: () => undefined,
        cloned: () => undefined,
        backupAnswered: () => undefined,
      },
      now: () => 0,
    });
  }

  async function ask(bench: Bench, ensure: EnsureBackup): Promise<CloneOutcome> {
    return await ensure({
      source: { domain: bench.source.host, path: 'app', tag: '1' },
      backup: { domain: bench.backup.host, path: 'acme/app', tag: '1' },
      dryRun: false,
      budgetMs: 30_000,
      signal,
      uid: 'test',
    });
  }

  it('sends at most four requests for an unchanged image, and writes nothing', async () => {
    const bench = await open({
      source: { auth: { scheme: 'bearer', users, isPublic: () => true } },
      backup: { auth: { scheme: 'basic', users } },
    });
    seed(bench.source, 'app:1', index);
    const ensure = policy(bench);
    const first = await ask(bench, ensure);
    assert.ok(first.status === 'ready' && first.result === 'copied', JSON.stringify(first));
    bench.source.requests.clear();
    bench.backup.requests.clear();

    const second = await ask(bench, ensure);

    assert.ok(second.status === 'ready' && second.result === 'present');
    assert.deepEqual(bench.source.requests.tally(), { 'HEAD manifest': 1 });
    assert.deepEqual(bench.backup.requests.tally(), { 'HEAD manifest': 2 });
  });

  it('sends three requests for an unchanged image after a restart', async () => {
    const bench = await open({ backup: { auth: { scheme: 'basic', users } } });
    seed(bench.source, 'app:1', index);
    await ask(bench, policy(bench));
    bench.source.requests.clear();
    bench.backup.requests.clear();

    await ask(bench, policy(bench));

    assert.equal(bench.source.requests.count() + bench.backup.requests.count(), 3);
  });
});
