import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
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
import { type Bench, forgottenUploads, openBench } from '../../adapters/registry/bench.ts';
import { deployment, policy, review } from '../../support/reviews.ts';

const pull = { username: 'team', password: 'pull' };
const push = { username: 'acme', password: 'push' };
const image = makeImage();
const cluster = 'blue';

let bench: Bench | undefined;
afterEach(async () => {
  await bench?.close();
  bench = undefined;
});

interface StageOptions {
  /** Namespaces whose pull secret opens the source. @default team */
  readonly keepers?: readonly string[];
  /** Whether anybody may read the source. @default no one */
  readonly isPublicSource?: boolean | (() => boolean);
  /** Whether anybody may read the backup. @default no one */
  readonly isPublicBackup?: boolean;
}

/** `team/app:1` behind a password, a backup behind another, and secrets that some namespaces have. */
async function openStage({
  isPublicSource = false,
  isPublicBackup = false,
}: StageOptions = {}): Promise<Bench> {
  bench = await openBench({
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

function secretsOf(keepers: readonly string[]): WorkloadSecrets {
  return {
    keyring: async ({ namespace }) => ({
      keyring: { find: () => (keepers.includes(namespace) ? [pull] : []) },
      warnings: [],
    }),
    serviceAccountSecrets: async () => undefined,
    hasSecret: async () => undefined,
    forget: () => undefined,
  };
}

/** A process of its own, which has never heard of anything. */
function start(
  { cloner, backup }: Bench,
  { keepers = ['team'], ...deps }: Partial<AdmissionHandlerDeps> & StageOptions = {},
): AdmissionHandler {
  return createAdmissionHandler({
    cloner,
    policy: policy({ backup: { domain: backup.host, namespace: 'acme', naming: 'nested' } }),
    workloadSecrets: secretsOf(keepers),
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

/** The repository that the copies went to. */
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

describe('a private copy', () => {
  it('is marked with whom it was made for', async () => {
    const bench = await openStage();

    const { response } = await send(start(bench), bench, 'team');

    assertAdmitted(response);
    assert.ok(repositoryOf(bench).startsWith(backupPath(bench)), repositoryOf(bench));
    assert.deepEqual(tagsOf(bench), ['1', `1.${short}`, ...marks(image, 'team')].toSorted());
  });

  it('has its marks before it has a layer', async () => {
    const bench = await openStage();
    const hold = createHold();
    const layers = image.blobs.map(({ digest }) => digest);
    bench.backup.faults.add(
      ({ path }) => layers.some((digest) => path.includes(digest)),
      hold.fault,
    );

    const answered = send(start(bench), bench, 'team');
    await hold.waiting();
    const seen = tagsOf(bench);
    hold.release();
    await answered;

    assert.deepEqual(seen, marks(image, 'team').toSorted());
  });

  it('is marked also where the backup has a bad moment', async () => {
    const bench = await openStage();
    const isUpload: Parameters<typeof bench.backup.faults.add>[0] = ({ method, kind }) =>
      method === 'PUT' && kind === 'upload';
    const met = bench.backup.faults.add(isUpload, answer(503), { times: 2 });

    const { response } = await send(start(bench), bench, 'team');

    assertAdmitted(response);
    assert.equal(met.hits(), 2);
    assert.deepEqual(forgottenUploads(bench.backup), []);
  });

  it('is served to them by a process that has never heard of it, when the source is gone', async () => {
    const bench = await openStage();
    await send(start(bench), bench, 'team');
    await bench.source.close();

    const { response } = await send(start(bench), bench, 'team');

    assertAdmitted(response);
    assert.notEqual(response.patch, undefined);
  });

  it('is refused to others by its rule, when the source is gone and when the source refuses them', async () => {
    const bench = await openStage();
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

  it('is refused to others where the source limits, and the backup is not spared for that', async () => {
    const stage = await openStage();
    const handler = start(stage);
    await send(handler, stage, 'team');
    seed(stage.source, 'team/app:2', makeImage({ seed: 'two' }));
    let limits = true;
    stage.source.faults.add(() => limits, answer(429));
    const { response } = await send(handler, stage, 'other');
    assert.match(response.status?.message ?? '', /its backup is private to the namespaces/);
    limits = false;

    const next = await send(handler, stage, 'team', 'team/app:2');

    assertAdmitted(next.response);
    assert.equal(next.response.warnings, undefined);
  });

  it('is refused to others also where the backup denies its mark once, as a replica of it that lags behind does', async () => {
    const stage = await openStage();
    await send(start(stage), stage, 'team');
    stage.source.faults.add(() => true, answer(503));
    const mark = `/manifests/${privateTag(image.digest)}`;
    const denied = stage.backup.faults.add(({ path }) => path.endsWith(mark), answer(404), {
      times: 1,
    });

    const { response } = await send(start(stage), stage, 'other');

    assert.equal(denied.hits(), 1);
    assert.equal(response.allowed, false);
    assert.match(response.status?.message ?? '', /its backup is private to the namespaces/);
  });

  it('is refused to the same namespace of another cluster', async () => {
    const bench = await openStage();
    await send(start(bench), bench, 'team');
    await bench.source.close();

    const { response } = await send(start(bench, { clusterId: 'green' }), bench, 'team');

    assert.equal(response.allowed, false);
  });

  it('is refused to others by its digest, too', async () => {
    const bench = await openStage();
    await send(start(bench), bench, 'team');
    await send(start(bench), bench, 'team', `team/app:1@${image.digest}`);
    await bench.source.close();
    const pinned = `team/app:1@${image.digest}`;

    const own = await send(start(bench), bench, 'team', pinned);
    const other = await send(start(bench), bench, 'other', pinned);

    assertAdmitted(own.response);
    assert.equal(other.response.allowed, false);
  });

  it('stays private as a generation after its tag has moved on', async () => {
    const bench = await openStage();
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

  it('is for every namespace that has opened it itself, also by joining the copy of another', async () => {
    const bench = await openStage();
    const keepers = ['team', 'friend', 'late'];
    const handler = start(bench, { keepers });
    await Promise.all(['team', 'friend'].map((namespace) => send(handler, bench, namespace)));
    await send(start(bench, { keepers }), bench, 'late');
    await bench.source.close();

    const answers = await Promise.all(
      [...keepers, 'other'].map((namespace) => send(start(bench), bench, namespace)),
    );

    assert.deepEqual(
      answers.map(({ response }) => response.allowed),
      [true, true, true, false],
    );
  });

  it('costs no more questions than others once it is known', async () => {
    const bench = await openStage();
    await send(start(bench), bench, 'team');
    const handler = start(bench);
    await send(handler, bench, 'team');
    bench.source.requests.clear();
    bench.backup.requests.clear();

    await send(handler, bench, 'team');

    assert.deepEqual(bench.backup.requests.tally(), { 'HEAD manifest': 2 });
    assert.equal(bench.source.requests.tally()['HEAD manifest'], 1);
  });

  it('is taken for private where the registry limits how often anybody may ask', async () => {
    const bench = await openStage({ isPublicSource: true });
    bench.source.faults.add(
      ({ kind, headers }) => kind === 'token' && !headers.has('authorization'),
      answer(429),
    );

    await send(start(bench), bench, 'team');

    assert.deepEqual(tagsOf(bench), ['1', `1.${short}`, ...marks(image, 'team')].toSorted());
  });

  it('is for all again when somebody has opened it with no credentials at all', async () => {
    const bench = await openStage({ isPublicSource: true });
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

  it('stays private where what anybody has opened is another image of the same tag', async () => {
    let isOpen = false;
    const bench = await openStage({ isPublicSource: () => isOpen });
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

describe('a public image that a pull secret opened', () => {
  it('is asked for once more where its copy took all the time but a moment', async () => {
    const bench = await openStage({ isPublicSource: true });
    const copying = createHold();
    bench.backup.faults.add(
      ({ method, kind }) => method === 'PUT' && kind === 'upload',
      copying.fault,
    );
    let time = 0;
    const answered = send(start(bench, { now: () => time }), bench, 'team');
    await copying.waiting();
    time = 19_900;
    const silent = createHold();
    bench.backup.faults.add(({ path }) => path.endsWith(privateTag(image.digest)), silent.fault);
    copying.release();

    const { response } = await answered;
    silent.release();

    assert.equal(response.status?.code, 504);
    assert.match(response.status?.message ?? '', /being completed$/);
  });

  it('has no marks and serves all', async () => {
    const bench = await openStage({ isPublicSource: true });
    await send(start(bench), bench, 'team');
    await bench.source.close();

    const { response } = await send(start(bench), bench, 'other');

    assert.deepEqual(tagsOf(bench), ['1', `1.${short}`]);
    assert.equal(response.allowed, true);
  });
});

describe('an image that SOURCE_AUTH_FILE opened', () => {
  it('has no marks and serves all', async () => {
    const bench = await openStage();
    const sourceCredentials = { credentialsFor: async () => [pull] };
    await send(start(bench, { keepers: [], sourceCredentials }), bench, 'team');
    await bench.source.close();

    const { response } = await send(start(bench), bench, 'other');

    assert.deepEqual(tagsOf(bench), ['1', `1.${short}`]);
    assert.equal(response.allowed, true);
  });
});

describe('a copy that serves all', () => {
  const pinned = `team/app@${image.digest}`;

  /** Resolves with what has the source limit all who ask as this one has asked, with no credentials. */
  async function sendAsAnybody(bench: Bench, namespace: string): Promise<() => void> {
    const seen = new Set<string | null>();
    const watch = bench.source.faults.add(
      ({ headers }) => seen.add(headers.get('authorization')).size === 0,
      answer(500),
    );
    assertAdmitted((await send(start(bench), bench, namespace)).response);
    watch.end();
    return () =>
      bench.source.faults.add(({ headers }) => seen.has(headers.get('authorization')), answer(429));
  }

  it('serves all still when a namespace has opened it with its own secret, in a moment in which nobody else was let in', async () => {
    const bench = await openStage({ isPublicSource: true });
    const limitAnybody = await sendAsAnybody(bench, 'shop');
    limitAnybody();

    assertAdmitted((await send(start(bench), bench, 'team', pinned)).response);

    await bench.source.close();
    assertAdmitted((await send(start(bench), bench, 'shop')).response);
    assertAdmitted((await send(start(bench), bench, 'other')).response);
    assert.ok(!tagsOf(bench).includes(privateTag(image.digest)));
  });

  it('serves all still when another tag of the same image is opened with a pull secret', async () => {
    const bench = await openStage();
    const sourceCredentials = { credentialsFor: async () => [pull] };
    await send(start(bench, { keepers: [], sourceCredentials }), bench, 'shop');
    seed(bench.source, 'team/app:latest', image);

    assertAdmitted((await send(start(bench), bench, 'team', 'team/app:latest')).response);

    await bench.source.close();
    assertAdmitted((await send(start(bench), bench, 'shop')).response);
    assertAdmitted((await send(start(bench), bench, 'other', 'team/app:latest')).response);
  });

  it('is not made of what is only a part of a private one', async () => {
    const bench = await openStage();
    const index = makeIndex([image]);
    seed(bench.source, 'team/app:all', index);
    await send(start(bench), bench, 'team', 'team/app:all');

    await send(start(bench), bench, 'team', pinned);

    await bench.source.close();
    assertAdmitted((await send(start(bench), bench, 'team', pinned)).response);
    assert.equal((await send(start(bench), bench, 'other', pinned)).response.allowed, false);
  });

  it('is none where the backup does not tell its tags', async () => {
    const bench = await openStage({ isPublicSource: true });
    const limitAnybody = await sendAsAnybody(bench, 'shop');
    limitAnybody();
    bench.backup.faults.add(({ path }) => path.includes('/tags/list'), answer(405));

    assertAdmitted((await send(start(bench), bench, 'team', pinned)).response);

    assert.ok(tagsOf(bench).includes(privateTag(image.digest)));
  });
});

describe('a backup that anybody can read', () => {
  it('gets no layer of a private image', async () => {
    const bench = await openStage({ isPublicBackup: true });

    const { response } = await send(start(bench), bench, 'team');

    assert.equal(response.allowed, false);
    assert.match(
      response.status?.message ?? '',
      /^container "web": \S+\/team\/app:1 is private and anonymous clients can read \S+ in the backup: make the backup private, or allow the copy with PRIVATE_TO_PUBLIC=allow$/,
    );
    assert.deepEqual(tagsOf(bench), marks(image, 'team').toSorted());
    assert.equal(bench.backup.store.manifest(repositoryOf(bench), image.digest), undefined);
  });

  it('gets it where the administrator says so', async () => {
    const bench = await openStage({ isPublicBackup: true });

    const { response } = await send(start(bench, { privateToPublic: 'allow' }), bench, 'team');

    assertAdmitted(response);
  });
});
