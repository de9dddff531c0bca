import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { namespaceGrantTag, privateTag, publicGrantTag } from '../../../lib/image/private-tags.ts';
import {
  type AdmissionHandler,
  type AdmissionHandlerDeps,
  type AdmissionReview,
  createAdmissionHandler,
  type WorkloadSecrets,
} from '../../../lib/index.ts';
import {
  answer,
  createHold,
  type Image,
  makeImage,
  makeIndex,
  seed,
} from '../../../lib/memory-registry/index.ts';
import { type Bench, forgottenUploads, useBench } from '../../adapters/registry/bench.ts';
import { deployment, policy, review } from '../../support/reviews.ts';

const pull = { username: 'team', password: 'pull' };
const push = { username: 'acme', password: 'push' };
const image = makeImage();
const cluster = 'blue';

const openBench = useBench();

interface FixtureOptions {
  /** Namespaces whose pull secret opens the source. @default team */
  readonly secretNamespaces?: readonly string[];
  /** Whether anonymous clients may read the source. @default false */
  readonly isPublicSource?: boolean | (() => boolean);
  /** Whether anonymous clients may read the backup. @default false */
  readonly isPublicBackup?: boolean;
}

/** `team/app:1` in a source with credentials, and a backup with other credentials. */
async function openFixture({
  isPublicSource = false,
  isPublicBackup = false,
}: FixtureOptions = {}): Promise<Bench> {
  const bench = await openBench({
    source: {
      auth: {
        scheme: 'bearer',
        users: { [pull.username]: pull.password },
        isPublic: () => (typeof isPublicSource === 'function' ? isPublicSource() : isPublicSource),
      },
    },
    backup: {
      auth: {
        scheme: 'basic',
        users: { [push.username]: push.password },
        isPublic: () => isPublicBackup,
      },
    },
  });
  seed(bench.source, 'team/app:1', image);
  return bench;
}

function secretsOf(secretNamespaces: readonly string[]): WorkloadSecrets {
  return {
    keyring: async ({ namespace }) => ({
      keyring: { find: () => (secretNamespaces.includes(namespace) ? [pull] : []) },
      warnings: [],
    }),
    serviceAccountSecrets: async () => undefined,
    hasSecret: async () => undefined,
    forget: () => undefined,
  };
}

/** A new process, with empty caches. */
function start(
  { cloner, backup }: Bench,
  { secretNamespaces = ['team'], ...deps }: Partial<AdmissionHandlerDeps> & FixtureOptions = {},
): AdmissionHandler {
  return createAdmissionHandler({
    cloner,
    policy: policy({ backup: { domain: backup.host, namespace: 'acme', naming: 'nested' } }),
    workloadSecrets: secretsOf(secretNamespaces),
    backupCredentials: async () => push,
    clusterId: cluster,
    ...deps,
  });
}

async function send(
  handler: AdmissionHandler,
  { source }: Bench,
  namespace: string,
  name = 'team/app:1',
): Promise<AdmissionReview> {
  const object = deployment({ web: `${source.host}/${name}` });
  const options = { signal: new AbortController().signal, budgetMs: 20_000 };
  return await handler(review({ object, namespace }), options);
}

function backupPath({ source }: Bench): string {
  const [host = '', port = ''] = source.host.split(':');
  return `acme/${host}-${port}/team/app`;
}

function assertAdmitted({ allowed, status }: AdmissionReview['response']): void {
  assert.equal(allowed, true, status?.message ?? '');
}

/** The repository of the copies. */
function repositoryOf({ backup }: Bench): string {
  const [repository = ''] = backup.store.repositories();
  return repository;
}

function tagsOf(bench: Bench): readonly string[] {
  return bench.backup.store.tags(repositoryOf(bench)).toSorted();
}

function marks(of: Image, ...namespaces: readonly string[]): readonly string[] {
  return [
    privateTag(of.digest),
    ...namespaces.map((namespace) => namespaceGrantTag(of.digest, { cluster, namespace })),
  ];
}

const short = image.digest.slice('sha256:'.length, 'sha256:'.length + 12);

describe('createPrivateCopies for an image that only a pull secret opens', () => {
  it('marks a private copy with the namespace whose pull secret opened it', async () => {
    const bench = await openFixture();

    const { response } = await send(start(bench), bench, 'team');

    assertAdmitted(response);
    assert.ok(repositoryOf(bench).startsWith(backupPath(bench)), repositoryOf(bench));
    assert.deepEqual(tagsOf(bench), ['1', `1.${short}`, ...marks(image, 'team')].toSorted());
  });

  it('marks a private copy before its first layer is written', async () => {
    const bench = await openFixture();
    const hold = createHold();
    const layers = image.blobs.map(({ digest }) => digest);
    bench.backup.faults.add(
      ({ path }) => layers.some((digest) => path.includes(digest)),
      hold.fault,
    );

    const sent = send(start(bench), bench, 'team');
    await hold.waiting();
    const seen = tagsOf(bench);
    hold.release();
    await sent;

    assert.deepEqual(seen, marks(image, 'team').toSorted());
  });

  it('marks a private copy when the backup answers 503 twice', async () => {
    const bench = await openFixture();
    const isUpload: Parameters<typeof bench.backup.faults.add>[0] = ({ method, kind }) =>
      method === 'PUT' && kind === 'upload';
    const met = bench.backup.faults.add(isUpload, answer(503), { times: 2 });

    const { response } = await send(start(bench), bench, 'team');

    assertAdmitted(response);
    assert.equal(met.hits(), 2);
    assert.deepEqual(forgottenUploads(bench.backup), []);
  });

  it('serves a private copy to its namespace after a restart when the source is gone', async () => {
    const bench = await openFixture();
    await send(start(bench), bench, 'team');
    await bench.source.close();

    const { response } = await send(start(bench), bench, 'team');

    assertAdmitted(response);
    assert.notEqual(response.patch, undefined);
  });

  it('denies a private copy to other namespaces with the rule, when the source refuses or is gone', async () => {
    const bench = await openFixture();
    await send(start(bench), bench, 'team');

    const denied = await send(start(bench), bench, 'other');
    await bench.source.close();
    const gone = await send(start(bench), bench, 'other');

    const rule =
      'its backup is private to the namespaces whose own pull secrets opened it, and "other" is not one of them';
    for (const { response } of [denied, gone]) {
      assert.equal(response.allowed, false);
      assert.equal(response.status?.code, 403);
      assert.ok(response.status.message.endsWith(rule), response.status.message);
    }
  });

  it('denies a private copy to other namespaces during a rate limit of the source, which does not limit the backup', async () => {
    const bench = await openFixture();
    const handler = start(bench);
    await send(handler, bench, 'team');
    seed(bench.source, 'team/app:2', makeImage({ seed: 'two' }));
    let limits = true;
    bench.source.faults.add(() => limits, answer(429));
    const { response } = await send(handler, bench, 'other');
    assert.match(response.status?.message ?? '', /its backup is private to the namespaces/);
    limits = false;

    const next = await send(handler, bench, 'team', 'team/app:2');

    assertAdmitted(next.response);
    assert.equal(next.response.warnings, undefined);
  });

  it('denies a private copy to other namespaces when the backup answers 404 for its mark once', async () => {
    const bench = await openFixture();
    await send(start(bench), bench, 'team');
    bench.source.faults.add(() => true, answer(503));
    const mark = `/manifests/${privateTag(image.digest)}`;
    const denied = bench.backup.faults.add(({ path }) => path.endsWith(mark), answer(404), {
      times: 1,
    });

    const { response } = await send(start(bench), bench, 'other');

    assert.equal(denied.hits(), 1);
    assert.equal(response.allowed, false);
    assert.match(response.status?.message ?? '', /its backup is private to the namespaces/);
  });

  it('denies a private copy to the same namespace of another cluster', async () => {
    const bench = await openFixture();
    await send(start(bench), bench, 'team');
    await bench.source.close();

    const { response } = await send(start(bench, { clusterId: 'green' }), bench, 'team');

    assert.equal(response.allowed, false);
  });

  it('denies a private copy to other namespaces by digest, too', async () => {
    const bench = await openFixture();
    await send(start(bench), bench, 'team');
    await send(start(bench), bench, 'team', `team/app:1@${image.digest}`);
    await bench.source.close();
    const pinned = `team/app:1@${image.digest}`;

    const own = await send(start(bench), bench, 'team', pinned);
    const other = await send(start(bench), bench, 'other', pinned);

    assertAdmitted(own.response);
    assert.equal(other.response.allowed, false);
  });

  it('keeps a generation private after its tag has moved', async () => {
    const bench = await openFixture();
    await send(start(bench), bench, 'team');
    seed(bench.source, 'team/app:1', makeImage({ seed: 'second' }));
    await send(start(bench), bench, 'team');
    await bench.source.close();

    const old = `team/app:1@${image.digest}`;
    const own = await send(start(bench), bench, 'team', old);
    const other = await send(start(bench), bench, 'other', old);

    assertAdmitted(own.response);
    assert.equal(other.response.allowed, false);
  });

  it('serves a private copy to every namespace that opened the source, also by joining a copy', async () => {
    const bench = await openFixture();
    const secretNamespaces = ['team', 'friend', 'late'];
    const handler = start(bench, { secretNamespaces });
    await Promise.all(['team', 'friend'].map((namespace) => send(handler, bench, namespace)));
    await send(start(bench, { secretNamespaces }), bench, 'late');
    await bench.source.close();

    const answers = await Promise.all(
      [...secretNamespaces, 'other'].map((namespace) => send(start(bench), bench, namespace)),
    );

    assert.deepEqual(
      answers.map(({ response }) => response.allowed),
      [true, true, true, false],
    );
  });

  it('makes no extra request for a private copy whose marks are cached', async () => {
    const bench = await openFixture();
    await send(start(bench), bench, 'team');
    const handler = start(bench);
    await send(handler, bench, 'team');
    bench.source.requests.clear();
    bench.backup.requests.clear();

    await send(handler, bench, 'team');

    assert.deepEqual(bench.backup.requests.tally(), { 'HEAD manifest': 2 });
    assert.equal(bench.source.requests.tally()['HEAD manifest'], 1);
  });

  it('marks a copy private when the source limits anonymous requests', async () => {
    const bench = await openFixture({ isPublicSource: true });
    bench.source.faults.add(
      ({ kind, headers }) => kind === 'token' && !headers.has('authorization'),
      answer(429),
    );

    await send(start(bench), bench, 'team');

    assert.deepEqual(tagsOf(bench), ['1', `1.${short}`, ...marks(image, 'team')].toSorted());
  });

  it('serves a private copy to all namespaces after an anonymous request opened the source', async () => {
    const bench = await openFixture({ isPublicSource: true });
    const limited = bench.source.faults.add(
      ({ kind, headers }) => kind === 'token' && !headers.has('authorization'),
      answer(429),
    );
    await send(start(bench), bench, 'team');
    limited.end();

    await send(start(bench), bench, 'other');
    await bench.source.close();

    const { response } = await send(start(bench), bench, 'third');
    assertAdmitted(response);
    assert.deepEqual(
      tagsOf(bench),
      ['1', `1.${short}`, ...marks(image, 'team'), publicGrantTag(image.digest)].toSorted(),
    );
  });

  it('keeps a copy private when an anonymous request opened another image of the same tag', async () => {
    let isOpen = false;
    const bench = await openFixture({ isPublicSource: () => isOpen });
    await send(start(bench), bench, 'team');
    bench.backup.store.putManifest(repositoryOf(bench), image, '1.hold');
    isOpen = true;
    seed(bench.source, 'team/app:1', makeImage({ seed: 'second' }));

    await send(start(bench), bench, 'other');
    await bench.source.close();

    const { response } = await send(start(bench), bench, 'third');
    assert.equal(response.allowed, false);
    assert.ok(!tagsOf(bench).includes(publicGrantTag(image.digest)));
  });
});

describe('createPrivateCopies for a public image that a pull secret opens', () => {
  it('answers retry when the copy leaves no time to read the private mark', async () => {
    const bench = await openFixture({ isPublicSource: true });
    const copying = createHold();
    bench.backup.faults.add(
      ({ method, kind }) => method === 'PUT' && kind === 'upload',
      copying.fault,
    );
    let time = 0;
    const sent = send(start(bench, { now: () => time }), bench, 'team');
    await copying.waiting();
    time = 19_900;
    const silent = createHold();
    bench.backup.faults.add(({ path }) => path.includes(privateTag(image.digest)), silent.fault);
    copying.release();

    const { response } = await sent;
    silent.release();

    assert.equal(response.status?.code, 504);
    assert.match(response.status?.message ?? '', /being completed$/);
  });

  it('serves a copy to no namespace when the source is gone and the backup does not say whether it is private', async () => {
    const bench = await openFixture({ isPublicSource: true });
    await send(start(bench), bench, 'team');
    await bench.source.close();
    bench.backup.faults.add(
      ({ method, path }) => method !== 'PUT' && path.endsWith(privateTag(image.digest)),
      answer(403),
    );

    const { response } = await send(start(bench), bench, 'other');

    assert.equal(response.allowed, false);
    assert.match(
      response.status?.message ?? '',
      /the backup registry .+; and .+ cannot be reached/,
    );
  });

  it('grants a copy to all after an anonymous request while the backup does not say whether it is private', async () => {
    const bench = await openFixture({ isPublicSource: true });
    await send(start(bench), bench, 'team');
    bench.backup.faults.add(
      ({ method, path }) => method !== 'PUT' && path.endsWith(privateTag(image.digest)),
      answer(403),
    );
    const handler = start(bench);
    assert.equal((await send(handler, bench, 'other')).response.allowed, true);
    await bench.source.close();

    assert.equal((await send(start(bench), bench, 'third')).response.allowed, true);
    assert.ok(tagsOf(bench).includes(publicGrantTag(image.digest)));
  });

  it('writes no marks for a public image and serves all namespaces', async () => {
    const bench = await openFixture({ isPublicSource: true });
    await send(start(bench), bench, 'team');
    await bench.source.close();

    const { response } = await send(start(bench), bench, 'other');

    assert.deepEqual(tagsOf(bench), ['1', `1.${short}`]);
    assert.equal(response.allowed, true);
  });
});

describe('createPrivateCopies for an image that SOURCE_AUTH_FILE opens', () => {
  it('writes no marks for an image that SOURCE_AUTH_FILE opened and serves all namespaces', async () => {
    const bench = await openFixture();
    const sourceCredentials = { credentialsFor: async () => [pull] };
    await send(start(bench, { secretNamespaces: [], sourceCredentials }), bench, 'team');
    await bench.source.close();

    const { response } = await send(start(bench), bench, 'other');

    assert.deepEqual(tagsOf(bench), ['1', `1.${short}`]);
    assert.equal(response.allowed, true);
  });
});

describe('createPrivateCopies for a copy that serves all namespaces', () => {
  const pinned = `team/app@${image.digest}`;

  /** Sends an anonymous review. Resolves with a function that makes the source limit requests with the same authorization. */
  async function sendAnonymously(bench: Bench, namespace: string): Promise<() => void> {
    const authorizations = new Set<string | null>();
    const recording = bench.source.faults.add(
      ({ headers }) => authorizations.add(headers.get('authorization')).size === 0,
      answer(500),
    );
    assertAdmitted((await send(start(bench), bench, namespace)).response);
    recording.end();
    return () =>
      bench.source.faults.add(
        ({ headers }) => authorizations.has(headers.get('authorization')),
        answer(429),
      );
  }

  it('keeps a public copy public when a pull secret opens it during a limit on anonymous requests', async () => {
    const bench = await openFixture({ isPublicSource: true });
    const limitAnonymous = await sendAnonymously(bench, 'shop');
    limitAnonymous();

    assertAdmitted((await send(start(bench), bench, 'team', pinned)).response);

    await bench.source.close();
    assertAdmitted((await send(start(bench), bench, 'shop')).response);
    assertAdmitted((await send(start(bench), bench, 'other')).response);
    assert.ok(!tagsOf(bench).includes(privateTag(image.digest)));
  });

  it('keeps a copy public when a pull secret opens another tag of the same image', async () => {
    const bench = await openFixture();
    const sourceCredentials = { credentialsFor: async () => [pull] };
    await send(start(bench, { secretNamespaces: [], sourceCredentials }), bench, 'shop');
    seed(bench.source, 'team/app:latest', image);

    assertAdmitted((await send(start(bench), bench, 'team', 'team/app:latest')).response);

    await bench.source.close();
    assertAdmitted((await send(start(bench), bench, 'shop')).response);
    assertAdmitted((await send(start(bench), bench, 'other', 'team/app:latest')).response);
  });

  it('keeps a platform of a private index private', async () => {
    const bench = await openFixture();
    const index = makeIndex([image]);
    seed(bench.source, 'team/app:all', index);
    await send(start(bench), bench, 'team', 'team/app:all');

    await send(start(bench), bench, 'team', pinned);

    await bench.source.close();
    assertAdmitted((await send(start(bench), bench, 'team', pinned)).response);
    assert.equal((await send(start(bench), bench, 'other', pinned)).response.allowed, false);
  });

  it('marks a public copy private when the backup does not list its tags', async () => {
    const bench = await openFixture({ isPublicSource: true });
    const limitAnonymous = await sendAnonymously(bench, 'shop');
    limitAnonymous();
    bench.backup.faults.add(({ path }) => path.includes('/tags/list'), answer(405));

    assertAdmitted((await send(start(bench), bench, 'team', pinned)).response);

    assert.ok(tagsOf(bench).includes(privateTag(image.digest)));
  });
});

describe('createPrivateCopies for a backup that anonymous clients can read', () => {
  it('denies a private image and writes no layer when the backup is public', async () => {
    const bench = await openFixture({ isPublicBackup: true });

    const { response } = await send(start(bench), bench, 'team');

    assert.equal(response.allowed, false);
    assert.match(
      response.status?.message ?? '',
      /^container "web": \S+\/team\/app:1 is private and anonymous clients can read \S+ in the backup: make the backup private, or allow the copy with PRIVATE_TO_PUBLIC=allow$/,
    );
    assert.deepEqual(tagsOf(bench), marks(image, 'team').toSorted());
    assert.equal(bench.backup.store.manifest(repositoryOf(bench), image.digest), undefined);
  });

  it('copies a private image to a public backup with PRIVATE_TO_PUBLIC=allow', async () => {
    const bench = await openFixture({ isPublicBackup: true });

    const { response } = await send(start(bench, { privateToPublic: 'allow' }), bench, 'team');

    assertAdmitted(response);
  });
});

describe('createPrivateCopies for the layers of a private image', () => {
  for (const { what, isPublicSource, allowed } of [
    { what: 'a private copy', isPublicSource: false, allowed: false },
    { what: 'a copy that everybody could open', isPublicSource: true, allowed: true },
  ]) {
    it(`${allowed ? 'gives' : 'does not give'} a layer of ${what} to an image that only lists it`, async () => {
      const bench = await openFixture({ isPublicSource });
      const secretNamespaces = isPublicSource ? [] : ['team', 'evil'];
      const handler = start(bench, { secretNamespaces });
      assertAdmitted((await send(handler, bench, 'team')).response);
      const evil = makeImage({ layers: [image.blobs.at(-1)?.bytes ?? 0], seed: 'evil' });
      seed(bench.source, 'evil/app:1', evil);
      bench.source.store.deleteBlob('evil/app', evil.blobs.at(-1)?.digest ?? '');

      const { response } = await send(handler, bench, 'evil', 'evil/app:1');

      assert.equal(response.allowed, allowed, response.status?.message ?? '');
    });
  }
});
