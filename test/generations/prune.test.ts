import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { readHoldings } from '../../lib/generations/generations.ts';
import { type PruneRules, planPrune, removeGeneration } from '../../lib/generations/prune.ts';
import { generationTag, moveTag } from '../../lib/image/tags.ts';
import type { BackupRepository } from '../../lib/index.ts';
import {
  answer,
  type Image,
  makeImage,
  makeIndex,
  on,
  seed,
} from '../../lib/memory-registry/index.ts';
import { type Bench, openBench, walk } from '../adapters/registry/bench.ts';

const { signal } = new AbortController();
const one = makeImage({ seed: 'one' });
const two = makeImage({ seed: 'two' });
const three = makeImage({ seed: 'three' });
const four = makeImage({ seed: 'four' });

let bench: Bench | undefined;
afterEach(async () => {
  await bench?.close();
  bench = undefined;
});

interface Stage {
  readonly bench: Bench;
  readonly repository: BackupRepository;
  /** As a copy, on the n-th day of 2026. */
  readonly move: (tag: string, image: Image, day: number) => void;
  readonly put: (tag: string, image: Image) => void;
  readonly tags: () => readonly string[];
  /** `1: ab… would go`, with the letters of `names`. */
  readonly plan: (rules?: Partial<PruneRules>) => Promise<readonly string[]>;
  readonly apply: (rules?: Partial<PruneRules>) => Promise<void>;
}

async function open(): Promise<Stage> {
  const opened = await openBench();
  bench = opened;
  const { backup } = opened;
  const repository = await opened.repository('acme/app');
  const names = new Map(
    [one, two, three, four].map(({ digest }, index) => [digest, `#${index + 1}`]),
  );
  const put = (tag: string, image: Image): void => {
    seed(backup, `acme/app:${tag}`, image);
  };
  const full = (rules: Partial<PruneRules>): PruneRules => ({ keep: 2, used: new Set(), ...rules });
  const readPlan = async (rules: Partial<PruneRules>) =>
    await planPrune(repository, await readHoldings(repository, signal), full(rules), signal);
  return {
    bench: opened,
    repository,
    put,
    move: (tag, image, day) => {
      const from = backup.store.manifest('acme/app', tag)?.digest;
      put(generationTag(tag, image.digest), image);
      if (from !== undefined) put(moveTag(tag, { at: Date.UTC(2026, 0, day), from }), image);
      put(tag, image);
    },
    tags: () => backup.store.tags('acme/app'),
    plan: async (rules = {}) =>
      (await readPlan(rules)).map(
        ({ digest, of, keptBecause = 'goes' }) =>
          `${names.get(digest) ?? digest} of ${of.join(',')}: ${keptBecause}`,
      ),
    apply: async (rules = {}) => {
      for (const old of await readPlan(rules)) {
        if (old.keptBecause === undefined)
          await removeGeneration(repository, old, full(rules), signal);
      }
    },
  };
}

/** Removes a generation of the tag `1`, of which only the newest is to be kept. */
function removeOld(repository: BackupRepository, digest: string): Promise<boolean> {
  return removeGeneration(repository, { digest, of: ['1'] }, { keep: 1, used: new Set() }, signal);
}

describe('planPrune', () => {
  it('lets go what is older than the newest so many', async () => {
    const { move, plan } = await open();
    for (const [day, image] of [one, two, three, four].entries()) move('1', image, day + 1);

    assert.deepEqual(await plan({ keep: 1 }), ['#1 of 1: goes', '#2 of 1: goes', '#3 of 1: goes']);
    assert.deepEqual(await plan({ keep: 3 }), ['#1 of 1: goes']);
    assert.deepEqual(await plan({ keep: 4 }), []);
  });

  it('counts what the tag holds now as one, also where that is the oldest', async () => {
    const { move, plan } = await open();
    for (const [day, image] of [one, two, three, one].entries()) move('1', image, day + 1);

    assert.deepEqual(await plan({ keep: 2 }), ['#2 of 1: goes']);
  });

  const keeps: readonly (readonly [what: string, do_: (stage: Stage) => void, verdict: string])[] =
    [
      ['a hold', ({ put }) => put('1.hold', one), 'held by 1.hold'],
      ['a tag of somebody’s own', ({ put }) => put('golden', one), 'held by golden'],
      [
        'a tag that looks like a mark and is a copy',
        ({ put }) => {
          put('1.from.aaaaaaaaaaaa', one);
          put(generationTag('1.from.aaaaaaaaaaaa', one.digest), one);
        },
        `held by ${generationTag('1.from.aaaaaaaaaaaa', one.digest)}`,
      ],
      [
        'a tag of somebody’s own that looks like a generation',
        ({ put }) => put('1.aaaaaaaaaaaa', one),
        'held by 1.aaaaaaaaaaaa',
      ],
      ['another image’s tag', ({ move }) => move('2', one, 1), 'held by 2'],
      [
        'another image’s generation that stays',
        ({ move }) => {
          move('2', one, 1);
          move('2', two, 2);
        },
        `held by ${generationTag('2', one.digest)}`,
      ],
      ['an index', ({ put }) => put('multi', makeIndex([one, two])), 'part of an image that stays'],
      [
        'a nested index',
        ({ put }) => put('multi', makeIndex([makeIndex([one])])),
        'part of an image that stays',
      ],
    ];
  for (const [what, prepare, verdict] of keeps) {
    it(`keeps what ${what} holds`, async () => {
      const stage = await open();
      for (const [day, image] of [one, two, three].entries()) stage.move('1', image, day + 1);
      prepare(stage);

      assert.deepEqual(await stage.plan({ keep: 2 }), [`#1 of 1: ${verdict}`]);
    });
  }

  it('keeps what is said to be in use, by its own digest or by a platform’s', async () => {
    const { move, plan, put } = await open();
    const index = makeIndex([two, three]);
    move('1', index, 1);
    move('1', one, 2);

    assert.deepEqual(await plan({ keep: 1, used: new Set([index.digest]) }), [
      `${index.digest} of 1: in use`,
    ]);
    assert.deepEqual(await plan({ keep: 1, used: new Set([three.digest]) }), [
      `${index.digest} of 1: in use`,
    ]);
    put('1', one);
  });

  it('keeps what the tag never had, or had before that was noted', async () => {
    const { put, move, plan } = await open();
    put(generationTag('1', four.digest), four);
    move('1', one, 1);
    move('1', two, 2);

    assert.deepEqual(await plan({ keep: 1 }), ['#1 of 1: goes']);
  });

  it('lets go what is old for every tag that had it, and for those that are meant', async () => {
    const { move, plan } = await open();
    for (const tag of ['1', 'latest']) {
      for (const [day, image] of [one, two].entries()) move(tag, image, day + 1);
    }

    assert.deepEqual(await plan({ keep: 1 }), ['#1 of 1,latest: goes']);
    assert.deepEqual(await plan({ keep: 1, tags: ['1'] }), [
      `#1 of 1: held by ${generationTag('latest', one.digest)}`,
    ]);
  });

  it('lets nothing go of a tag that is gone', async () => {
    const { put, plan } = await open();
    for (const image of [one, two]) put(generationTag('1', image.digest), image);
    put(moveTag('1', { at: 0, from: one.digest }), two);

    assert.deepEqual(await plan({ keep: 1 }), []);
  });

  it('gives up where a manifest cannot be read', async () => {
    const { move, bench, plan } = await open();
    for (const [day, image] of [one, two].entries()) move('1', image, day + 1);
    bench.backup.faults.add(on('GET', 'manifest'), answer(403));

    await assert.rejects(plan({ keep: 1 }), { code: 'BACKUP_DENIED' });
  });
});

describe('removeGeneration', () => {
  it('removes the generation with its own parts and marks, and nothing else', async () => {
    const { bench, move, apply, tags } = await open();
    const shared = makeImage({ seed: 'shared' });
    const old = makeIndex([one, shared]);
    const kept = makeIndex([two, shared]);
    move('1', old, 1);
    move('1', kept, 2);

    await apply({ keep: 1 });

    assert.deepEqual(tags(), [
      '1',
      generationTag('1', kept.digest),
      moveTag('1', { at: Date.UTC(2026, 0, 2), from: old.digest }),
    ]);
    const { store } = bench.backup;
    assert.deepEqual(
      store.manifests('acme/app').toSorted(),
      [kept, two, shared].map(({ digest }) => digest).toSorted(),
    );
    assert.ok(walk(bench.backup, 'acme/app', '1').size > 0);
    assert.ok(
      store.blob('acme/app', one.blobs[1]?.digest ?? ''),
      'blobs are left to garbage collection',
    );
  });

  it('removes several, the oldest first', async () => {
    const { bench, move, apply } = await open();
    for (const [day, image] of [one, two, three, four].entries()) move('1', image, day + 1);

    await apply({ keep: 1 });

    assert.deepEqual(bench.backup.store.manifests('acme/app'), [four.digest]);
  });

  it('keeps what the tag has come back to since', async () => {
    const { repository, move, tags } = await open();
    for (const [day, image] of [one, two, one, two].entries()) move('1', image, day + 1);
    const rules = { keep: 2, used: new Set<string>() };

    assert.equal(
      await removeGeneration(repository, { digest: one.digest, of: ['1'] }, rules, signal),
      false,
    );
    assert.ok(tags().includes(generationTag('1', one.digest)));
  });

  it('removes an index before the image that both it and the tag had', async () => {
    const { bench, move, apply } = await open();
    const index = makeIndex([one, two]);
    move('1', one, 1);
    move('1', index, 2);
    move('1', three, 3);

    await apply({ keep: 1 });

    const deleted = bench.backup.requests.list({ method: 'DELETE' }).map(({ path }) => path);
    const at = (image: Image): number => deleted.findIndex((path) => path.endsWith(image.digest));
    assert.ok(at(index) < at(one), deleted.join(' '));
    assert.deepEqual(bench.backup.store.manifests('acme/app'), [three.digest]);
  });

  it('looks again right before, and keeps what somebody has taken up since', async () => {
    const { repository, move, put, tags } = await open();
    move('1', one, 1);
    move('1', two, 2);
    put('golden', one);

    assert.equal(await removeOld(repository, one.digest), false);
    assert.ok(tags().includes('golden'));
  });

  it('keeps what the tag comes back to while all that stays is read', async () => {
    const { bench, move, apply, tags } = await open();
    for (const [day, image] of [one, two, three].entries()) move('1', image, day + 1);
    const back = generationTag('1', one.digest);
    let read = 0;
    bench.backup.faults.add(on('GET', 'manifest'), async (exchange, next) => {
      read += 1;
      // The plan reads three, and so does the look right before.
      if (read === 6) move('1', one, 9);
      return await next(exchange);
    });

    await apply({ keep: 2 });

    assert.equal(bench.backup.store.manifest('acme/app', '1')?.digest, one.digest);
    assert.ok(tags().includes(back));
  });

  it('looks at the tag once more when all else is read, and keeps what it has come back to', async () => {
    const { bench, repository, move, put, tags } = await open();
    move('1', one, 1);
    move('1', two, 2);
    // What upstream has taken back is copied, or rolled back to, while the rest is read.
    bench.backup.faults.add(on('GET', 'manifest'), async (exchange, next) => {
      put('1', one);
      return await next(exchange);
    });

    assert.equal(await removeOld(repository, one.digest), false);
    assert.ok(tags().includes('1'));
    assert.ok(tags().includes(generationTag('1', one.digest)));
  });

  it('keeps what has become a part of something new while the rest was read', async () => {
    const { bench, repository, move, put, tags } = await open();
    move('1', one, 1);
    move('1', two, 2);
    const index = makeIndex([one, three]);
    bench.backup.faults.add(on('GET', 'manifest'), async (exchange, next) => {
      put(generationTag('2', index.digest), index);
      return await next(exchange);
    });

    assert.equal(await removeOld(repository, one.digest), false);
    assert.ok(tags().includes(generationTag('1', one.digest)));
  });

  describe('puts back what somebody has taken up in the very moment', () => {
    /** What others do between our last look and the DELETE, or right after it. */
    async function removeWhile(
      stage: Stage,
      others: { readonly before?: () => void; readonly after?: () => void },
      { digest }: Image = one,
    ): Promise<boolean> {
      stage.bench.backup.faults.add(
        on('DELETE', 'manifest'),
        async (exchange, next) => {
          others.before?.();
          const answered = await next(exchange);
          others.after?.();
          return answered;
        },
        { times: 1 },
      );
      return await removeOld(stage.repository, digest);
    }

    it('as a part', async () => {
      const stage = await open();
      stage.move('1', one, 1);
      stage.move('1', two, 2);
      const index = makeIndex([one, three]);

      assert.equal(await removeWhile(stage, { before: () => stage.put('2', index) }), false);

      assert.ok(walk(stage.bench.backup, 'acme/app', '2').size > 0);
      assert.ok(stage.tags().includes(generationTag('1', one.digest)));
    });

    it('in part', async () => {
      const stage = await open();
      const old = makeIndex([makeIndex([one])]);
      stage.move('1', old, 1);
      stage.move('1', two, 2);
      const index = makeIndex([makeIndex([one]), three]);

      assert.equal(await removeWhile(stage, { before: () => stage.put('2', index) }, old), true);

      assert.ok(walk(stage.bench.backup, 'acme/app', '2').size > 0);
      assert.equal(stage.bench.backup.store.manifest('acme/app', old.digest), undefined);
    });

    it('as what the tag holds: with it went the tag', async () => {
      const stage = await open();
      stage.move('1', one, 1);
      stage.move('1', two, 2);

      await assert.rejects(removeWhile(stage, { before: () => stage.put('1', one) }), {
        code: 'BACKUP_REFUSED',
        message:
          /also removed other tags: 1; nothing more is removed, and these tags are restored$/,
      });

      assert.equal(stage.bench.backup.store.manifest('acme/app', '1')?.digest, two.digest);
    });

    it('as what a copy gives the tag: with it went the generation’s', async () => {
      const stage = await open();
      stage.move('1', one, 1);
      stage.move('1', two, 2);

      assert.equal(await removeWhile(stage, { after: () => stage.put('1', one) }), false);

      const { store } = stage.bench.backup;
      assert.equal(store.manifest('acme/app', '1')?.digest, one.digest);
      const generation = generationTag('1', one.digest);
      assert.equal(store.manifest('acme/app', generation)?.digest, one.digest);
    });
  });

  it('removes nothing where the registry lists a hold and says that it is not there', async () => {
    const { bench, repository, move, put, tags } = await open();
    move('1', one, 1);
    move('1', two, 2);
    put('1.hold', one);
    // One of several behind one address has not heard of it yet.
    bench.backup.faults.add(({ path }) => path.endsWith('/1.hold'), answer(404));

    await assert.rejects(removeOld(repository, one.digest), {
      code: 'BACKUP_UNAVAILABLE',
      message: /^the registry lists 1\.hold but does not find it: nothing is removed/,
    });
    assert.ok(tags().includes(generationTag('1', one.digest)));
  });

  it('does not mind tags of what was removed, which some registries go on listing', async () => {
    const { bench, repository, move, put, tags } = await open();
    move('1', one, 1);
    move('1', two, 2);
    const dangling = generationTag('1', four.digest);
    put(dangling, four);
    bench.backup.faults.add(({ path }) => path.endsWith(`/${dangling}`), answer(404));

    assert.equal(await removeOld(repository, one.digest), true);
    assert.ok(!tags().includes(generationTag('1', one.digest)));
  });

  it('removes nothing where the registry does not show what a tag holds', async () => {
    const { bench, repository, move } = await open();
    const kept = makeIndex([one, two]);
    move('1', makeIndex([one]), 1);
    move('1', kept, 2);
    const old = makeIndex([one]).digest;
    bench.backup.faults.add(
      ({ method, path }) => method === 'GET' && path.endsWith(kept.digest),
      answer(404),
    );

    await assert.rejects(removeOld(repository, old), { code: 'BACKUP_UNAVAILABLE' });
    assert.ok(bench.backup.store.manifests('acme/app').includes(one.digest));
  });

  it('stops at a registry that removes more than it is told to', async () => {
    const { bench, repository, move, put } = await open();
    move('1', one, 1);
    move('1', two, 2);
    put('golden', three);
    bench.backup.faults.add(on('DELETE', 'manifest'), async (exchange, next) => {
      bench.backup.store.deleteManifest('acme/app', three.digest);
      return await next(exchange);
    });

    await assert.rejects(removeOld(repository, one.digest), {
      message: /the registry also removed other tags: golden; nothing more is removed$/,
    });
  });
});
