import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toEnsureBackup } from '../../lib/create-admission-handler.ts';
import {
  backupReference,
  type CloneOutcome,
  type Naming,
  parseReference,
} from '../../lib/index.ts';
import {
  answer,
  type Image,
  type ModeName,
  type ModeOptions,
  makeImage,
  makeIndex,
  modes,
  seed,
  useMode,
} from '../../lib/memory-registry/index.ts';
import { type Bench, useBench } from '../adapters/registry/bench.ts';

const openBench = useBench();
const { signal } = new AbortController();
const credentials = { username: 'acme', password: 'secret' };
const users = { [credentials.username]: credentials.password };
const first = makeIndex([makeImage({ seed: 'first' }), makeImage({ platform: 'linux/arm64' })]);
const second = makeImage({ seed: 'second' });
const docker = makeImage({ mediaTypes: 'docker' });

interface Vendor {
  readonly mode: ModeName;
  readonly options?: ModeOptions;
}

interface SceneOptions {
  readonly source?: Vendor;
  readonly backup?: Vendor;
  /** What the operator sets. @default nested */
  readonly naming?: Naming;
}

interface Scene extends Pick<Bench, 'source' | 'backup'> {
  readonly publish: (image: Image) => void;
  /** Reviews the image in a new process. */
  readonly review: () => Promise<CloneOutcome>;
  /** Result and message of a review, with names instead of loopback addresses. */
  readonly reviewAsText: () => Promise<string>;
  /** The digest of a tag of the copy. */
  readonly held: (tag: string) => string | undefined;
}

/** An image that anyone can pull, and its backup, which needs a password. */
async function open({ source, backup, naming = 'nested' }: SceneOptions): Promise<Scene> {
  const bench = await openBench({
    source: { auth: { scheme: schemeOf(source), users, isPublic: () => true } },
    backup: { auth: { scheme: schemeOf(backup), users } },
  });
  if (source !== undefined) useMode(bench.source, source.mode, source.options);
  if (backup !== undefined) useMode(bench.backup, backup.mode, backup.options);
  const path = source?.mode === 'quay' ? 'team/app' : 'team/apps/app';
  const image = parseReference(`${bench.source.host}/${path}:1`);
  const location = { domain: bench.backup.host, namespace: 'acme', naming };
  const copy = { ...backupReference(image, location), tag: '1' };
  const review = async (): Promise<CloneOutcome> =>
    await toEnsureBackup({
      cloner: bench.cloner,
      backupCredentials: () => Promise.resolve(credentials),
      soon: () => undefined,
    })({ source: image, backup: copy, dryRun: false, budgetMs: 20_000, uid: '', signal });
  return {
    source: bench.source,
    backup: bench.backup,
    publish: (published) => seed(bench.source, `${path}:1`, published),
    review,
    reviewAsText: async () =>
      toText(await review())
        .replaceAll(`${bench.backup.host}/${copy.path}`, 'COPY')
        .replaceAll(bench.source.host, 'public.test')
        .replaceAll(bench.backup.host, 'backup.test'),
    held: (tag) => bench.backup.store.manifest(copy.path, tag)?.digest,
  };
}

function schemeOf(vendor: Vendor | undefined): 'basic' | 'bearer' {
  return vendor === undefined ? 'bearer' : modes[vendor.mode].scheme;
}

function toText(outcome: CloneOutcome): string {
  if (outcome.status === 'failed') return `${outcome.error.code}: ${outcome.error.message}`;
  if (outcome.status === 'pending') return outcome.detail;
  const { result, bytes, warnings } = outcome;
  return [`${result}${bytes === 0 ? ' without bytes' : ''}`, ...warnings].join('; ');
}

const vendors: readonly (Vendor & Pick<SceneOptions, 'naming'>)[] = [
  {
    mode: 'quay',
    naming: 'flat',
  },
  { mode: 'distribution' },
  { mode: 'harbor' },
  { mode: 'ghcr' },
  { mode: 'ecr' },
  { mode: 'artifactory' },
  { mode: 'nexus' },
  { mode: 'gitea' },
  { mode: 'zot' },
  { mode: 'gar' },
  { mode: 'acr' },
];

describe('registries of vendors', () => {
  for (const { mode, naming = 'nested' } of vendors) {
    it(`${mode} as backup takes a copy and a moved tag, and serves them when the source is down`, async () => {
      const { publish, reviewAsText, held, source } = await open({ backup: { mode }, naming });

      publish(first);
      assert.equal(await reviewAsText(), 'copied');
      assert.equal(await reviewAsText(), 'present without bytes');
      publish(second);
      assert.equal(await reviewAsText(), 'copied');
      await source.close();
      assert.match(await reviewAsText(), /^fallback without bytes; using the backup of /);

      assert.equal(held('1'), second.digest);
      assert.equal(held(`1.${first.digest.slice(7, 19)}`), first.digest);
    });

    it(`an image of ${mode} is copied once, and its backup is used when ${mode} is down`, async () => {
      const { publish, reviewAsText, held, source } = await open({ source: { mode } });

      publish(first);
      assert.equal(await reviewAsText(), 'copied');
      assert.equal(await reviewAsText(), 'present without bytes');
      await source.close();
      assert.match(await reviewAsText(), /^fallback without bytes; using the backup of /);

      assert.equal(held('1'), first.digest);
    });
  }

  const immutable = { immutableTags: true };
  for (const mode of ['ecr', 'harbor', 'gar', 'acr', 'zot'] as const) {
    it(`${mode} with immutable tags keeps the tag of a moved image, and the object gets its digest`, async () => {
      const { publish, review, held, source } = await open({
        backup: { mode, options: immutable },
      });
      publish(first);
      await review();
      publish(second);

      const outcomes = [await review(), await review()];
      await source.close();
      outcomes.push(await review());

      const told = outcomes.map((outcome) =>
        outcome.status === 'ready'
          ? [outcome.image.digest, outcome.bytes > 0, outcome.warnings.length]
          : toText(outcome),
      );
      assert.deepEqual(told, [
        [second.digest, true, 1],
        [second.digest, false, 1],
        [second.digest, false, 1],
      ]);
      assert.equal(held('1'), first.digest);
      assert.equal(held(`1.${second.digest.slice(7, 19)}`), second.digest);
    });
  }

  const missing: ModeOptions = { exists: () => false };
  const refusals: readonly (SceneOptions & {
    readonly when: string;
    readonly image?: Image;
    readonly tells: RegExp;
  })[] = [
    {
      when: 'ECR has no repository for the copy',
      backup: { mode: 'ecr', options: missing },
      tells:
        /^BACKUP_NOT_FOUND: .*The repository with name 'acme\/.* does not exist in the registry with id '123456789012'\); .*create it first$/,
    },
    {
      when: 'GAR has no repository for the copy',
      backup: { mode: 'gar', options: missing },
      tells: /^BACKUP_NOT_FOUND: .*Repository ".*" not found\); .*create it first$/,
    },
    {
      when: 'Harbor has no project for the copy',
      backup: { mode: 'harbor', options: missing },
      tells: /^BACKUP_\w+: .*project acme not found/,
    },
    {
      when: 'the project in Harbor is full',
      backup: { mode: 'harbor', options: { isFull: true } },
      tells:
        /^BACKUP_REFUSED: .*no storage left \(adding 2\.1 MiB .* upper limit of 10\.0 MiB\.\)$/,
    },
    {
      when: 'a policy of Harbor forbids to pull the source',
      source: { mode: 'harbor', options: { blocksPulls: true } },
      tells: /^SOURCE_REFUSED: .*current image with 12 vulnerabilities cannot be pulled/,
    },
    {
      when: 'zot takes no image in docker’s format',
      backup: { mode: 'zot' },
      image: docker,
      tells: /^BACKUP_\w+: .*application\/vnd\.docker\..*docker2s2/,
    },
    {
      when: 'quay.io takes no name of three levels',
      backup: { mode: 'quay' },
      tells: /^BACKUP_\w+: .*invalid repository name.*NAMING=flat/,
    },
    {
      when: 'Gitea takes no name with two underscores',
      backup: { mode: 'gitea' },
      naming: 'flat',
      tells: /^BACKUP_\w+: .*NAME_INVALID.*NAMING=nested/,
    },
    {
      when: 'ECR takes no name with two underscores',
      backup: { mode: 'ecr' },
      naming: 'flat',
      tells: /^BACKUP_\w+: .*Invalid parameter at 'repositoryName'.*NAMING=nested/,
    },
    {
      when: 'GAR needs a name of three levels',
      backup: { mode: 'gar' },
      naming: 'flat',
      tells: /^BACKUP_\w+: .*Missing image name\. Pushes should be of the form/,
    },
    {
      when: 'Nexus allows no redeploy',
      backup: { mode: 'nexus', options: immutable },
      tells: /^BACKUP_\w+: .*Repository does not allow updating assets: docker-hosted/,
    },
  ];
  for (const { when, image = first, tells, ...options } of refusals) {
    it(`the refusal says that ${when}`, async () => {
      const { publish, reviewAsText } = await open(options);
      publish(image);

      assert.match((await reviewAsText()).replaceAll('COPY', 'acme/copy'), tells);
    });
  }

  it('copies an image whose project in Harbor forbids pulls until a scan', async () => {
    const options = { blocksPulls: true };
    const { publish, reviewAsText, held } = await open({ backup: { mode: 'harbor', options } });
    publish(first);

    await reviewAsText();

    assert.equal(held(`1.${first.digest.slice(7, 19)}`), first.digest);
  });

  for (const mode of ['gar', 'acr'] as const) {
    it(`reads layers of ${mode} at another origin, without credentials`, async () => {
      const { source: storage } = await openBench();
      const elsewhere = ({ pathname }: URL): string => `${storage.url}${pathname}`;
      const { publish, reviewAsText } = await open({ source: { mode, options: { elsewhere } } });
      publish(first);
      seed(storage, 'team/apps/app', first);

      assert.equal(await reviewAsText(), 'copied');

      const reads = storage.requests.list({ method: 'GET', kind: 'blob' });
      assert.equal(reads.length, 4);
      assert.ok(reads.every(({ headers }) => !headers.has('authorization')));
    });
  }

  it('a rate limit on the referrers of GHCR costs one warning and no review', async () => {
    const { source: other } = await openBench();
    other.faults.add(() => true, answer(429, { headers: { 'retry-after': '60' } }));
    const elsewhere = ({ pathname }: URL): string => `${other.url}${pathname}`;
    const { publish, reviewAsText } = await open({
      source: { mode: 'ghcr', options: { elsewhere } },
    });
    publish(first);

    const copied = (await reviewAsText()).split('; ');
    const again = await reviewAsText();

    assert.equal(copied[0], 'copied');
    assert.ok(copied.length <= 2, copied.join('; '));
    assert.equal(again, 'present without bytes');
  });
});
