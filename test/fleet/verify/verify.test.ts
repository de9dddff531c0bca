import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ReviewPolicy } from '../../../lib/admission/policy.ts';
import { createCheckSource } from '../../../lib/cloner/source/index.ts';
import { CloneError } from '../../../lib/errors.ts';
import { createVerify, type Verification } from '../../../lib/fleet/verify/index.ts';
import type {
  Credentials,
  ImageCloner,
  StoredWorkload,
  WorkloadSecrets,
} from '../../../lib/ports/index.ts';
import { createFakeCloner, type FakeCloner } from '../../support/fake-cloner.ts';
import { storedWorkload } from '../../support/fake-store.ts';
import { policy } from '../../support/reviews.ts';

const nginx = `sha256:${'1'.repeat(64)}`;
const moved = `sha256:${'2'.repeat(64)}`;
const pullSecret: Credentials = { username: 'node', password: 'pull' };

/** A Deployment that names the copy of `nginx:1.27`. */
function copyOf(image = 'acme/nginx:1.27', more: object = {}, pod: object = {}): StoredWorkload {
  const originals = { 'image-cloner/original-images': '{"containers/main":"nginx:1.27"}' };
  return storedWorkload('deployments', {
    metadata: { name: 'web', namespace: 'shop', annotations: originals, ...more },
    spec: { template: { spec: { containers: [{ name: 'main', image }], ...pod } } },
  });
}

interface Setting {
  /** Digests in the backup that lack a part. */
  readonly incomplete?: readonly string[];
  /** What the pull secrets of pods hold for the backup. @default the right ones */
  readonly keyring?: readonly Credentials[];
  /** Why a pull secret could not be read. */
  readonly unread?: string;
  readonly backupPullSecret?: string | undefined;
  readonly asksSources?: boolean;
  readonly change?: Partial<ReviewPolicy>;
  readonly abort?: AbortController;
}

/** The backup is open to itself and to `pullSecret`. */
function open(cloner: FakeCloner, setting: Setting = {}) {
  const {
    keyring = [pullSecret],
    unread,
    incomplete = [],
    abort = new AbortController(),
  } = setting;
  const asked: string[] = [];
  const waits: string[] = [];
  const backup: ImageCloner = {
    ...cloner,
    resolve: async (image, access, signal, options) => {
      const isOpen = [undefined, 'node', 'acme'].includes(access.credentials?.username);
      const isAnonymous = access.credentials === undefined;
      if (image.domain === 'docker.io' && image.path.startsWith('acme/')) {
        asked.push(access.credentials?.username ?? 'anonymous');
        if (!isOpen || isAnonymous)
          throw new CloneError('BACKUP_DENIED', 'the backup denied access');
      }
      return await cloner.resolve(image, access, signal, options);
    },
    isComplete: ({ digest }) => Promise.resolve(!incomplete.includes(digest)),
  };
  const secrets: Pick<WorkloadSecrets, 'keyring'> = {
    keyring: () =>
      Promise.resolve({
        keyring: { find: () => keyring },
        warnings: unread === undefined ? [] : [unread],
      }),
  };
  const verify = createVerify({
    cloner: backup,
    backupCredentials: () => Promise.resolve({ username: 'acme', password: 'own' }),
    checkSource:
      setting.asksSources === false
        ? undefined
        : createCheckSource({
            cloner: backup,
            credentials: { credentialsFor: () => Promise.resolve([]) },
            now: () => 0,
          }),
    policy: policy(setting.change),
    secrets,
    backupPullSecret: 'backupPullSecret' in setting ? setting.backupPullSecret : 'regcred',
    rateLimiter: {
      wait: () => {
        waits.push('wait');
        return Promise.resolve();
      },
    },
  });
  return {
    asked,
    waits,
    verify: (...stored: readonly StoredWorkload[]): Promise<Verification> =>
      verify(stored, { signal: abort.signal, onStep: () => undefined }),
  };
}

function withCopy(): FakeCloner {
  const cloner = createFakeCloner();
  cloner.put('acme/nginx:1.27', nginx);
  cloner.put('nginx:1.27', nginx);
  return cloner;
}

function found({ images }: Verification): readonly (readonly string[])[] {
  return images.map(({ state, what, source = '-' }) => [state, what, source]);
}

describe('createVerify', () => {
  it('a workload starts if its copy is whole and its pull secrets open it', async () => {
    const verification = await open(withCopy()).verify(copyOf());

    assert.deepEqual(found(verification), [['whole', 'whole', 'same']]);
    assert.deepEqual(verification.workloads, { starts: 1, fails: 0, unknown: 0, skipped: 0 });
    assert.deepEqual(verification.problems, []);
  });

  it('a source that has moved or is gone changes no verdict', async () => {
    const cloner = withCopy();
    cloner.put('nginx:1.27', moved);
    const first = await open(cloner).verify(copyOf());
    cloner.remove('nginx');
    const second = await open(cloner).verify(copyOf());
    cloner.fail('nginx:1.27', new CloneError('SOURCE_UNAVAILABLE', 'docker.io did not answer'));
    const third = await open(cloner).verify(copyOf());

    assert.deepEqual([first, second, third].map(found), [
      [['whole', 'whole', 'moved']],
      [['whole', 'whole', 'gone']],
      [['whole', 'whole', 'unclear']],
    ]);
    for (const { workloads } of [first, second, third]) assert.equal(workloads.starts, 1);
  });

  it('a copy with another digest than its source is the same if its provenance tag says so', async () => {
    const cloner = withCopy();
    cloner.put('nginx:1.27', moved);
    cloner.put(`acme/nginx:1.27.from.${'2'.repeat(12)}`, nginx);

    assert.deepEqual(found(await open(cloner).verify(copyOf())), [['whole', 'whole', 'same']]);
  });

  it('a workload fails if the tag of its copy is gone or a part of it is lost', async () => {
    const cloner = withCopy();
    const incomplete = await open(cloner, { incomplete: [nginx] }).verify(copyOf());
    cloner.remove('acme/nginx');
    const absent = await open(cloner).verify(copyOf());

    assert.deepEqual(found(incomplete), [
      ['incomplete', 'the backup has lost parts of it', 'same'],
    ]);
    assert.deepEqual(found(absent), [['absent', 'the backup does not have acme/nginx:1.27', '-']]);
    assert.equal(incomplete.workloads.fails + absent.workloads.fails, 2);
  });

  it('a workload fails if the object names no copy', async () => {
    const verification = await open(withCopy()).verify(copyOf('nginx:1.27'), copyOf('NGINX'));

    assert.deepEqual(found(verification), [
      ['outside', 'the object names no copy', '-'],
      [
        'outside',
        'the object names no copy: "NGINX" is not a valid image name: the repository name must be lower case',
        '-',
      ],
    ]);
    assert.equal(verification.workloads.fails, 2);
  });

  it('does not ask a source that SOURCE_REGISTRIES does not list', async () => {
    const cloner = withCopy();
    const change = { sourceRegistries: ['quay.io'] };

    assert.deepEqual(found(await open(cloner, { change }).verify(copyOf())), [
      ['whole', 'whole', '-'],
    ]);
    assert.ok(!cloner.resolved.some((image) => image.includes('library/nginx')));
  });

  it('an edited tag of a copy is looked up as it is written', async () => {
    const cloner = withCopy();
    cloner.put('acme/nginx:77', moved);

    assert.deepEqual(found(await open(cloner).verify(copyOf('acme/nginx:77'))), [
      ['whole', 'whole', '-'],
    ]);
  });

  it('a workload fails if the backup refuses its pull secrets, or it has none and should', async () => {
    const wrong = { username: 'other', password: 'x' };
    const refused = await open(withCopy(), { keyring: [wrong] }).verify(copyOf());
    const none = await open(withCopy(), { keyring: [] }).verify(copyOf());
    const second = open(withCopy(), { keyring: [wrong, pullSecret] });

    assert.deepEqual(found(refused), [
      ['denied', 'the backup refuses the pull secrets of the pod', 'same'],
    ]);
    assert.deepEqual(found(none), [
      ['denied', 'the pod has no pull secret for the backup (regcred)', 'same'],
    ]);
    assert.deepEqual(found(await second.verify(copyOf())), [['whole', 'whole', 'same']]);
    assert.deepEqual(second.asked, ['acme', 'other', 'node']);
  });

  it('pull secrets that cannot be read, and nodes with credentials of their own, are said and do not fail', async () => {
    const unread = 'pull secret regcred in shop may not be read';
    const forbidden = await open(withCopy(), { keyring: [], unread }).verify(copyOf());
    const ofNodes = await open(withCopy(), { keyring: [], backupPullSecret: undefined }).verify(
      copyOf(),
    );

    assert.deepEqual(found(forbidden), [['whole', `whole; not pulled: ${unread}`, 'same']]);
    assert.deepEqual(found(ofNodes), [
      ['whole', 'whole; only nodes with credentials of their own can pull it', 'same'],
    ]);
  });

  it('asks for each copy once, and for each set of pull secrets once', async () => {
    const { asked, verify } = open(withCopy(), { asksSources: false });

    const { workloads } = await verify(
      copyOf(),
      copyOf(),
      copyOf('acme/nginx:1.27', {}, { imagePullSecrets: [{ name: 'own' }] }),
    );

    assert.equal(workloads.starts, 3);
    assert.deepEqual(asked, ['acme', 'node', 'node']);
  });

  it('objects that are opted out, controlled by another one, or have ended do not count', async () => {
    const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', controller: true };
    const pod = { containers: [{ name: 'main', image: 'nginx:1.27' }] };
    const job = (status: object): StoredWorkload =>
      storedWorkload('jobs', {
        metadata: { name: 'once', namespace: 'shop' },
        spec: { template: { spec: pod } },
        status,
      });
    const verification = await open(withCopy()).verify(
      copyOf('nginx:1.27', { labels: { 'image-cloner': 'disabled' } }),
      storedWorkload('pods', {
        metadata: { name: 'web-1', namespace: 'shop', ownerReferences: [owner] },
        spec: pod,
      }),
      job({ conditions: [{ type: 'Complete', status: 'True' }] }),
      job({ conditions: [{ type: 'Suspended', status: 'True' }] }),
    );

    assert.deepEqual(
      verification.images.map(({ what }) => what),
      [
        'the object names no copy',
        'skipped: it is labelled image-cloner: disabled',
        'skipped: its ReplicaSet counts',
        'skipped: it has ended',
      ],
    );
    assert.deepEqual(verification.workloads, { starts: 0, fails: 1, unknown: 0, skipped: 3 });
  });

  it('stops asking a backup that is down, and says so in one sentence', async () => {
    const cloner = withCopy();
    const error = new CloneError('BACKUP_UNAVAILABLE', 'the backup registry cannot be reached', {
      isUnreachable: true,
    });
    cloner.fail('docker.io', error);
    const copies = Array.from({ length: 20 }, (_, n) => copyOf(`acme/nginx:${n}`));
    const { asked, waits, verify } = open(cloner);

    const { workloads, problems } = await verify(...copies);

    assert.deepEqual(workloads, { starts: 0, fails: 0, unknown: 20, skipped: 0 });
    assert.deepEqual(problems.slice(0, 1), ['the backup registry cannot be reached']);
    assert.match(problems[1] ?? '', /^1\d of 20 images were not checked: run again$/);
    assert.ok(asked.length <= 4, `${asked.length} requests`);
    assert.ok(waits.length < 20, 'copies that are not asked for do not wait for their turn');
  });

  it('reports what is known when it is interrupted', async () => {
    const abort = new AbortController();
    abort.abort();

    const { workloads, problems } = await open(withCopy(), { abort }).verify(
      copyOf(),
      copyOf('nginx:1.27'),
    );

    assert.deepEqual(workloads, { starts: 0, fails: 1, unknown: 1, skipped: 0 });
    assert.deepEqual(problems, ['1 of 2 images were not checked: run again']);
  });

  it('an object that cannot be parsed is not reported as good', async () => {
    const broken = storedWorkload('deployments', {
      metadata: { name: 'odd', namespace: 'shop' },
      spec: { template: { spec: { containers: 'none' } } },
    });

    const { workloads } = await open(withCopy()).verify(broken);

    assert.deepEqual(workloads, { starts: 0, fails: 0, unknown: 1, skipped: 0 });
  });
});
