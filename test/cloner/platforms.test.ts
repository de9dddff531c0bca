import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readHoldings } from '../../lib/generations/generations.ts';
import { planPrune, removeGeneration } from '../../lib/generations/prune.ts';
import { release, rollBack } from '../../lib/generations/rollback.ts';
import { namespaceGrantTag, privateTag } from '../../lib/image/private-tags.ts';
import {
  type AdmissionHandler,
  type AdmissionHandlerDeps,
  createAdmissionHandler,
} from '../../lib/index.ts';
import {
  type Image,
  immutableTags,
  type MemoryRegistryOptions,
  makeImage,
  makeIndex,
  makeSignature,
  seed,
} from '../../lib/memory-registry/index.ts';
import { type Bench, useBench, walk } from '../adapters/registry/bench.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { deployment, policy, review } from '../support/reviews.ts';

const amd64 = makeImage();
const arm64 = makeImage({ platform: 'linux/arm64/v8' });
const s390x = makeImage({ platform: 'linux/s390x' });
const index = makeIndex([amd64, arm64, s390x], { attestations: true });

/** Of `index` without all but the first image, or without the last one. Their bytes are those of the golden test's rules. */
const ofAmd64 = selected([0, 3]);
const ofBoth = selected([0, 1, 3, 4]);

/** What a review writes and says. */
interface Told {
  readonly image: string | undefined;
  readonly message: string | undefined;
  readonly warnings: readonly string[];
}

interface Fixture extends Bench {
  /** Replaces the webhook by one with these platforms; none means all. */
  start(...platforms: readonly string[]): void;
  apply(
    image?: string,
    options?: {
      readonly dryRun?: boolean;
      readonly namespace?: string;
      /** The stored copy that the object has already. */
      readonly stored?: string | undefined;
    },
  ): Promise<Told>;
  /** Runs what follows the answers. */
  runBackground(): Promise<void>;
  /** What the tags of the copies hold. */
  tags(): Readonly<Record<string, string | undefined>>;
  requests(): number;
}

const openBench = useBench();

async function open(
  deps: Partial<AdmissionHandlerDeps> = {},
  registries: {
    readonly source?: MemoryRegistryOptions;
    readonly backup?: MemoryRegistryOptions;
  } = {},
): Promise<Fixture> {
  const bench = await openBench(registries);
  const { source, backup } = bench;
  const queued: (() => Promise<void>)[] = [];
  let handler: AdmissionHandler | undefined;
  let seconds = 0;
  const path = (): string => backup.store.repositories()[0] ?? '';
  return {
    ...bench,
    start(...platforms) {
      handler = createAdmissionHandler({
        cloner: bench.selecting(platforms),
        policy: policy({ backup: { domain: backup.host, namespace: 'acme', naming: 'nested' } }),
        logger: createMemoryLog().logger,
        soon: (work) => queued.push(work),
        wallClock: () => Date.UTC(2026, 0, 1, 0, 0, (seconds += 10)),
        ...deps,
      });
    },
    async apply(image = 'app:1', { dryRun = false, namespace = 'team', stored } = {}) {
      const original = `${source.host}/${image}`;
      const object = deployment({ web: original });
      const annotations = {
        'image-cloner/original-images': JSON.stringify({ 'containers/web': original }),
      };
      const old = stored && {
        oldObject: deployment({ web: `${backup.host}/${stored}` }, { annotations }),
      };
      const options = { signal: new AbortController().signal, budgetMs: 20_000 };
      const answer = await handler?.(review({ object, dryRun, namespace, ...old }), options);
      const { status, patch = '', warnings = [] } = answer?.response ?? {};
      const operations = Buffer.from(patch, 'base64').toString('utf8');
      const named = (text: string): string => text.replaceAll(source.host, 'public.test');
      return {
        image: new RegExp(`"value":"${backup.host}/[^"]*/app[^:"]*:([^"]+)"`).exec(operations)?.[1],
        message: status && named(status.message),
        warnings: warnings.map(named),
      };
    },
    async runBackground() {
      for (const work of queued.splice(0)) await work();
    },
    tags: () =>
      Object.fromEntries(
        backup.store.tags(path()).map((tag) => [tag, backup.store.manifest(path(), tag)?.digest]),
      ),
    requests: () => source.requests.count() + backup.requests.count(),
  };
}

/** The index with only these of its entries. */
function selected(positions: readonly number[]): Image {
  const children = positions.flatMap((position) => index.children[position] ?? []);
  return makeIndex(children);
}

function short({ digest }: Image): string {
  return digest.slice('sha256:'.length, 'sha256:'.length + 12);
}

function clearRequests({ source, backup }: Fixture): void {
  source.requests.clear();
  backup.requests.clear();
}

/** Names of the tags that record sources, and what they hold. */
function provenance({ tags }: Fixture): readonly (string | undefined)[] {
  return Object.entries(tags())
    .filter(([tag]) => tag.includes('.from.'))
    .map(([, digest]) => digest);
}

describe('createAdmissionHandler with PLATFORMS', () => {
  it('copies only the listed platforms, under tags of the digest of that copy', async () => {
    const fixture = await open();
    seed(fixture.source, 'app:1', index);
    fixture.start('linux/amd64');

    const { image, warnings } = await fixture.apply();

    assert.equal(image, '1');
    assert.deepEqual(warnings, [
      'public.test/app:1: signatures of the whole image do not apply to its copy, which has only linux/amd64',
    ]);
    const { '1': held, [`1.${short(ofAmd64)}`]: kept, ...others } = fixture.tags();
    assert.deepEqual([held, kept], [ofAmd64.digest, ofAmd64.digest]);
    assert.deepEqual(new Set(Object.values(others)), new Set([ofAmd64.digest]));
    assert.deepEqual(
      Object.keys(others).map((tag) => tag.replace(/[0-9a-f]{12}$/, '')),
      ['1.from.', '1.from.'],
    );
    const [path = ''] = fixture.backup.store.repositories();
    assert.ok(!walk(fixture.backup, path, '1').has(`manifest ${s390x.digest} ${s390x.mediaType}`));
  });

  it('sends at most four requests for an unchanged image of listed platforms, and warns no more', async () => {
    const fixture = await open();
    seed(fixture.source, 'app:1', index);
    fixture.start('linux/amd64');
    await fixture.apply();
    fixture.start('linux/amd64');
    clearRequests(fixture);

    const { image, warnings } = await fixture.apply();

    assert.deepEqual({ image, warnings }, { image: '1', warnings: [] });
    assert.ok(fixture.requests() <= 4, String(fixture.requests()));
    assert.deepEqual(fixture.source.requests.tally(), { 'HEAD manifest': 1 });
  });

  it('serves the copy of listed platforms when the source is gone', async () => {
    const fixture = await open();
    seed(fixture.source, 'app:1', index);
    fixture.start('linux/amd64');
    await fixture.apply();
    await fixture.source.close();
    fixture.start('linux/amd64');

    const { image, warnings } = await fixture.apply();

    assert.equal(image, '1');
    assert.match(warnings.join(), /^using the backup of /);
  });

  it('copies again when the list is widened, and keeps the older copy as a generation', async () => {
    const fixture = await open();
    seed(fixture.source, 'app:1', index);
    fixture.start('linux/amd64');
    await fixture.apply();
    fixture.start('linux/amd64', 'linux/arm64');

    await fixture.apply();

    const tags = fixture.tags();
    assert.equal(tags['1'], ofBoth.digest);
    assert.equal(tags[`1.${short(ofAmd64)}`], ofAmd64.digest);
    assert.equal(tags[`1.${short(ofBoth)}`], ofBoth.digest);
    assert.equal(tags[`1.moved.20260101t000010z.${short(ofAmd64)}`], ofBoth.digest);
  });

  it('copies all platforms when the list is removed', async () => {
    const fixture = await open();
    seed(fixture.source, 'app:1', index);
    fixture.start('linux/amd64');
    await fixture.apply();
    fixture.start();

    const { warnings } = await fixture.apply();

    assert.equal(fixture.tags()['1'], index.digest);
    assert.deepEqual(warnings, []);
  });

  it('copies nothing for a narrower list when the backup has all platforms', async () => {
    const fixture = await open();
    seed(fixture.source, 'app:1', index);
    fixture.start();
    await fixture.apply();
    fixture.start('linux/amd64');
    clearRequests(fixture);

    const { image, warnings } = await fixture.apply();

    assert.deepEqual({ image, warnings }, { image: '1', warnings: [] });
    assert.equal(fixture.tags()['1'], index.digest);
    assert.ok(fixture.requests() <= 4, String(fixture.requests()));
    assert.deepEqual(provenance(fixture), []);
  });

  it('copies an image without an index as it is', async () => {
    const fixture = await open();
    seed(fixture.source, 'app:1', s390x);
    fixture.start('linux/amd64');

    const { warnings } = await fixture.apply();

    assert.deepEqual(warnings, []);
    assert.deepEqual(fixture.tags(), { '1': s390x.digest, [`1.${short(s390x)}`]: s390x.digest });
  });

  for (const dryRun of [false, true]) {
    it(`denies an image without a listed platform and says what it has, ${dryRun ? 'in a dry run too' : 'and writes nothing'}`, async () => {
      const fixture = await open();
      seed(fixture.source, 'app:1', index);
      fixture.start('linux/riscv64');

      const { message } = await fixture.apply('app:1', { dryRun });

      assert.equal(
        message,
        `container "web": public.test/app:1@${index.digest} cannot be copied: it has linux/amd64, linux/arm64/v8, linux/s390x and none of PLATFORMS (linux/riscv64)`,
      );
      assert.deepEqual(fixture.backup.store.repositories(), []);
    });
  }

  it('gives a dry run the patch of the real write, for a pinned image too', async () => {
    const fixture = await open();
    seed(fixture.source, 'app:1', index);
    fixture.start('linux/amd64');
    const pinned = `app:1@${index.digest}`;

    const planned = await fixture.apply(pinned, { dryRun: true });

    assert.deepEqual(fixture.backup.store.repositories(), []);
    assert.equal(planned.image, `1@${ofAmd64.digest}`);
    assert.equal((await fixture.apply(pinned)).image, planned.image);
  });

  it('uses the copy of a pinned image with at most four requests, also if it has all platforms', async () => {
    const fixture = await open();
    seed(fixture.source, 'app:1', index);
    const pinned = `app:1@${index.digest}`;
    fixture.start('linux/amd64');
    await fixture.apply(pinned);
    fixture.start('linux/amd64');
    clearRequests(fixture);

    assert.equal((await fixture.apply(pinned)).image, `1@${ofAmd64.digest}`);
    assert.ok(fixture.requests() <= 4, String(fixture.requests()));

    fixture.start();
    await fixture.apply(pinned);
    fixture.start('linux/arm64');
    clearRequests(fixture);

    assert.equal((await fixture.apply(pinned)).image, `1@${index.digest}`);
    assert.ok(fixture.requests() <= 4, String(fixture.requests()));
  });

  for (const later of [['linux/amd64', 'linux/arm64'], []]) {
    it(`serves a pinned image from the copy of an earlier list, with PLATFORMS=${later.join()} later, when the source is gone`, async () => {
      const fixture = await open();
      seed(fixture.source, 'app:1', index);
      const pinned = `app:1@${index.digest}`;
      fixture.start('linux/amd64');
      await fixture.apply(pinned);
      await fixture.source.close();
      fixture.start(...later);

      const { image, message } = await fixture.apply(pinned);

      assert.equal(message, undefined);
      assert.equal(image, `1@${ofAmd64.digest}`);
    });
  }

  it('keeps the stored copy when the manifest of a pinned image is applied again, without a request', async () => {
    const fixture = await open();
    seed(fixture.source, 'app:1', index);
    const pinned = `app:1@${index.digest}`;
    fixture.start('linux/amd64');
    const { image } = await fixture.apply(pinned);
    const stored = `${fixture.backup.store.repositories()[0]}:${image}`;
    fixture.start('linux/amd64', 'linux/arm64');
    clearRequests(fixture);

    const again = await fixture.apply(pinned, { stored });

    assert.equal(again.image, image);
    assert.equal(fixture.requests(), 0);
  });

  it('pins the object to the copy of a wider list when the tag is immutable', async () => {
    const fixture = await open();
    seed(fixture.source, 'app:1', index);
    fixture.start('linux/amd64');
    await fixture.apply();
    fixture.backup.faults.add(() => true, immutableTags());
    fixture.start('linux/amd64', 'linux/arm64');

    assert.equal((await fixture.apply()).image, `1@${ofBoth.digest}`);
    assert.equal(fixture.tags()['1'], ofAmd64.digest);
    clearRequests(fixture);

    assert.equal((await fixture.apply()).image, `1@${ofBoth.digest}`);
    assert.deepEqual(fixture.backup.requests.list({ method: 'PUT' }), []);
  });

  it('rolls back to the copy of an earlier list, holds it, and prunes it once it is released', async () => {
    const fixture = await open();
    seed(fixture.source, 'app:1', index);
    for (const list of [['linux/amd64'], ['linux/amd64', 'linux/arm64']]) {
      fixture.start(...list);
      await fixture.apply();
    }
    const [path = ''] = fixture.backup.store.repositories();
    const repository = await fixture.repository(path);
    const context = {
      repository,
      backup: { domain: fixture.backup.host, path, tag: '1' },
      adoptExisting: false,
      now: () => Date.UTC(2026, 0, 1, 0, 0, 15),
      signal: new AbortController().signal,
    };

    await rollBack(context, ofAmd64.digest);
    const held = await fixture.apply();
    assert.match(held.warnings.join(), /is held at sha256:/);
    assert.equal(fixture.tags()['1'], ofAmd64.digest);

    await release(context);
    await fixture.apply();
    assert.equal(fixture.tags()['1'], ofBoth.digest);
    const rules = { keep: 1, used: new Set<string>() };
    const plan = await planPrune(
      repository,
      await readHoldings(repository, context.signal),
      rules,
      context.signal,
    );
    assert.deepEqual(
      plan.map(({ digest, keptBecause }) => [digest, keptBecause]),
      [[ofAmd64.digest, undefined]],
    );
    for (const old of plan) await removeGeneration(repository, old, rules, context.signal);

    assert.ok(!Object.values(fixture.tags()).includes(ofAmd64.digest));
    assert.equal(
      walk(fixture.backup, path, ofBoth.digest).size,
      walk(fixture.backup, path, '1').size,
    );
    clearRequests(fixture);
    assert.deepEqual((await fixture.apply()).warnings, []);
    assert.ok(fixture.requests() <= 4, String(fixture.requests()));
  });

  it('keeps all platforms of an image that another tool pushed to the backup', async () => {
    const fixture = await open();
    seed(fixture.source, 'app:1', index);
    fixture.start();
    await fixture.apply();
    const [path = ''] = fixture.backup.store.repositories();
    fixture.backup.store.deleteManifest(path, `1.${short(index)}`);
    fixture.start('linux/amd64');

    const { message } = await fixture.apply();

    assert.equal(message, undefined);
    assert.deepEqual(fixture.tags(), { '1': index.digest, [`1.${short(index)}`]: index.digest });
  });

  it('copies no signatures of an index that loses platforms', async () => {
    const fixture = await open();
    seed(fixture.source, 'app:1', index);
    const { tag, image } = makeSignature(index);
    seed(fixture.source, `app:${tag}`, image);
    fixture.start('linux/amd64');

    await fixture.apply();
    await fixture.apply();
    await fixture.runBackground();

    assert.equal(fixture.tags()[tag], undefined);
  });

  for (const has of ['listed', 'all']) {
    it(`copies again what the backup has lost of a copy of ${has} platforms`, async () => {
      const fixture = await open();
      seed(fixture.source, 'app:1', index);
      fixture.start(...(has === 'all' ? [] : ['linux/amd64']));
      await fixture.apply();
      await fixture.runBackground();
      const [path = ''] = fixture.backup.store.repositories();
      const before = walk(fixture.backup, path, '1');
      const tags = fixture.tags();
      fixture.backup.store.deleteBlob(path, amd64.blobs[1]?.digest ?? '');
      fixture.start('linux/amd64');

      await fixture.apply();
      await fixture.runBackground();

      assert.deepEqual(walk(fixture.backup, path, '1'), before);
      assert.deepEqual(fixture.tags(), tags);
    });
  }
});

describe('createAdmissionHandler with PLATFORMS, for an image that only a pull secret opens', () => {
  const pull = { username: 'team', password: 'pull' };
  const push = { username: 'acme', password: 'push' };

  async function openPrivate(isPublicSource = (): boolean => false): Promise<Fixture> {
    const fixture = await open(
      {
        workloadSecrets: {
          keyring: async ({ namespace }) => ({
            keyring: { find: () => (namespace === 'team' ? [pull] : []) },
            warnings: [],
          }),
          serviceAccountSecrets: async () => undefined,
          hasSecret: async () => undefined,
          forget: () => undefined,
        },
        backupCredentials: async () => push,
        clusterId: 'blue',
      },
      {
        source: { auth: { scheme: 'bearer', users: { team: 'pull' }, isPublic: isPublicSource } },
        backup: { auth: { scheme: 'basic', users: { acme: 'push' }, isPublic: () => false } },
      },
    );
    seed(fixture.source, 'app:1', index);
    fixture.start('linux/amd64');
    return fixture;
  }

  const marks = [
    privateTag(ofAmd64.digest),
    namespaceGrantTag(ofAmd64.digest, { cluster: 'blue', namespace: 'team' }),
  ];

  it('marks the digest of the copy before its first layer is written', async () => {
    const fixture = await openPrivate();
    await fixture.apply();

    const layer = amd64.blobs[1]?.digest.replace(':', '%3A') ?? '';
    const paths = fixture.backup.requests.list({ method: 'PUT' }).map(({ path }) => path);
    const orderOf = (part: string): number => paths.findIndex((path) => path.includes(part));
    const order = [...marks.toReversed(), layer].map(orderOf);
    assert.ok(!order.includes(-1), paths.join('\n'));
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
  });

  it('denies the copy to other namespaces when the source is gone', async () => {
    const fixture = await openPrivate();
    assert.equal((await fixture.apply()).message, undefined);
    await fixture.source.close();
    fixture.start('linux/amd64');

    assert.equal((await fixture.apply()).image, '1');
    assert.match(
      (await fixture.apply('app:1', { namespace: 'other' })).message ?? '',
      /its backup is private to the namespaces whose own pull secrets opened it/,
    );
  });

  it('serves the copy to every namespace once anonymous clients can open its source', async () => {
    let isPublic = false;
    const fixture = await openPrivate(() => isPublic);
    await fixture.apply();
    isPublic = true;
    fixture.start('linux/amd64');
    await fixture.apply('app:1', { namespace: 'other' });
    await fixture.source.close();
    fixture.start('linux/amd64');

    assert.equal((await fixture.apply('app:1', { namespace: 'third' })).message, undefined);
  });
});
