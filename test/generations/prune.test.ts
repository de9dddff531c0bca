import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readHoldings } from '../../lib/generations/generations.ts';
import { type PruneRules, planPrune, removeGeneration } from '../../lib/generations/prune.ts';
import { generationTag, moveTag } from '../../lib/image/tags.ts';
import type { BackupRepository } from '../../lib/index.ts';
import {
  answer,
  type Image,
  makeImage,
  makeIndex,
  makeReferrer,
  makeSignature,
  on,
  referrersTag,
  seed,
} from '../../lib/memory-registry/index.ts';
import { type Bench, useBench, walk } from '../adapters/registry/bench.ts';

const { signal } = new AbortController();
const one = makeImage({ seed: 'one' });
const two = makeImage({ seed: 'two' });
const three = makeImage({ seed: 'three' });
const four = makeImage({ seed: 'four' });

const openBench = useBench();

interface Fixture {
  readonly bench: Bench;
  readonly repository: BackupRepository;
  /** Moves a tag as a copy does, on the given day of 2026. */
  readonly move: (tag: string, image: Image, day: number) => void;
  /** Writes what a copy writes before the registry refuses to move the tag, or before it is killed. */
  readonly refuse: (tag: string, image: Image, day: number) => void;
  readonly put: (tag: string, image: Image) => void;
  readonly tags: () => readonly string[];
  /** One entry a generation, such as `#1 of 1: goes`. */
  readonly plan: (rules?: Partial<PruneRules>) => Promise<readonly string[]>;
  readonly apply: (rules?: Partial<PruneRules>) => Promise<void>;
}

async function open(options?: Parameters<typeof openBench>[0]): Promise<Fixture> {
  const bench = await openBench(options);
  const { backup } = bench;
  const repository = await bench.repository('acme/app');
  const names = new Map(
    [one, two, three, four].map(({ digest }, index) => [digest, `#${index + 1}`]),
  );
  const put = (tag: string, image: Image): void => {
    seed(backup, `acme/app:${tag}`, image);
  };
  const full = (rules: Partial<PruneRules>): PruneRules => ({ keep: 2, used: new Set(), ...rules });
  const readPlan = async (rules: Partial<PruneRules>) =>
    await planPrune(repository, await readHoldings(repository, signal), full(rules), signal);
  const refuse: Fixture['refuse'] = (tag, image, day) => {
    const from = backup.store.manifest('acme/app', tag)?.digest;
    put(generationTag(tag, image.digest), image);
    if (from !== undefined) put(moveTag(tag, { at: Date.UTC(2026, 0, day), from }), image);
  };
  return {
    bench,
    repository,
    put,
    refuse,
    move: (tag, image, day) => {
      refuse(tag, image, day);
      put(tag, image);
    },
    tags: () => backup.store.tags('acme/app'),
    plan: async (rules = {}) =>
      (await readPlan(rules)).map(
        ({ digest, of, keptBecause, attachmentCount = 0 }) =>
          `${names.get(digest) ?? digest} of ${of.join(',')}: ${keptBecause ?? `goes${attachmentCount === 0 ? '' : ` with ${attachmentCount}`}`}`,
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
async function removeOld(repository: BackupRepository, digest: string): Promise<string> {
  const old = { digest, of: ['1'] };
  return (await removeGeneration(repository, old, { keep: 1, used: new Set() }, signal)).status;
}

describe('planPrune', () => {
  it('prune plans to remove all generations but the newest ones that rules keep', async () => {
    const { move, plan } = await open();
    for (const [day, image] of [one, two, three, four].entries()) move('1', image, day + 1);

    assert.deepEqual(await plan({ keep: 1 }), ['#1 of 1: goes', '#2 of 1: goes', '#3 of 1: goes']);
    assert.deepEqual(await plan({ keep: 3 }), ['#1 of 1: goes']);
    assert.deepEqual(await plan({ keep: 4 }), []);
  });

  it('prune counts the current generation among those to keep, also when it is the oldest', async () => {
    const { move, plan } = await open();
    for (const [day, image] of [one, two, three, one].entries()) move('1', image, day + 1);

    assert.deepEqual(await plan({ keep: 2 }), ['#2 of 1: goes']);
  });

  const keeps: readonly (readonly [
    what: string,
    prepare: (fixture: Fixture) => void,
    verdict: string,
  ])[] = [
    ['a hold', ({ put }) => put('1.hold', one), 'held by 1.hold'],
    ['a tag of another tool', ({ put }) => put('golden', one), 'held by golden'],
    [
      'a copied tag that looks like a provenance tag',
      ({ put }) => {
        put('1.from.aaaaaaaaaaaa', one);
        put(generationTag('1.from.aaaaaaaaaaaa', one.digest), one);
      },
      `held by ${generationTag('1.from.aaaaaaaaaaaa', one.digest)}`,
    ],
    [
      'a tag of another tool that looks like a generation tag',
      ({ put }) => put('1.aaaaaaaaaaaa', one),
      'held by 1.aaaaaaaaaaaa',
    ],
    ['a plain tag of another image', ({ move }) => move('2', one, 1), 'held by 2'],
    [
      'a kept generation of another tag',
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
    it(`prune keeps a generation that ${what} holds`, async () => {
      const fixture = await open();
      for (const [day, image] of [one, two, three].entries()) fixture.move('1', image, day + 1);
      prepare(fixture);

      assert.deepEqual(await fixture.plan({ keep: 2 }), [`#1 of 1: ${verdict}`]);
    });
  }

  it('prune keeps a generation in use, by its own digest or the digest of a platform', async () => {
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

  it('prune keeps a generation without a recorded move of the tag', async () => {
    const { put, move, plan } = await open();
    put(generationTag('1', four.digest), four);
    move('1', one, 1);
    move('1', two, 2);

    assert.deepEqual(await plan({ keep: 1 }), ['#1 of 1: goes']);
  });

  it('prune removes a generation only when it is old for every tag that had it', async () => {
    const { move, plan } = await open();
    for (const tag of ['1', 'latest']) {
      for (const [day, image] of [one, two].entries()) move(tag, image, day + 1);
    }

    assert.deepEqual(await plan({ keep: 1 }), ['#1 of 1,latest: goes']);
    assert.deepEqual(await plan({ keep: 1, tags: ['1'] }), [
      `#1 of 1: held by ${generationTag('latest', one.digest)}`,
    ]);
  });

  it('prune keeps what an immutable tag holds and what it means, whatever rules say', async () => {
    const { move, refuse, plan } = await open();
    move('1', one, 1);
    for (const [day, image] of [two, three, four].entries()) refuse('1', image, day + 2);

    assert.deepEqual(await plan({ keep: 1 }), ['#2 of 1: goes', '#3 of 1: goes']);
    assert.deepEqual(await plan({ keep: 2 }), ['#2 of 1: goes']);
  });

  it('prune keeps both digests of an interrupted move', async () => {
    const { move, refuse, plan } = await open();
    for (const [day, image] of [one, two].entries()) move('1', image, day + 1);
    refuse('1', three, 3);

    assert.deepEqual(await plan({ keep: 1 }), ['#1 of 1: goes']);
  });

  it('prune keeps the generations of an immutable tag if the digests in use are unknown', async () => {
    const { move, refuse, plan } = await open();
    move('1', one, 1);
    for (const [day, image] of [two, three].entries()) refuse('1', image, day + 2);

    assert.deepEqual(await plan({ keep: 1, used: undefined }), [
      '#2 of 1: the tag was not moved, so workloads may name the digest: list those in use (--used FILE)',
    ]);
    assert.deepEqual(await plan({ keep: 1, used: new Set([two.digest]) }), ['#2 of 1: in use']);
  });

  it('prune keeps all generations of a tag that is gone', async () => {
    const { put, plan } = await open();
    for (const image of [one, two]) put(generationTag('1', image.digest), image);
    put(moveTag('1', { at: 0, from: one.digest }), two);

    assert.deepEqual(await plan({ keep: 1 }), []);
  });

  it('prune fails to plan when a manifest cannot be read', async () => {
    const { move, bench, plan } = await open();
    for (const [day, image] of [one, two].entries()) move('1', image, day + 1);
    bench.backup.faults.add(on('GET', 'manifest'), answer(403));

    await assert.rejects(plan({ keep: 1 }), { code: 'BACKUP_DENIED' });
  });
});

describe('removeGeneration', () => {
  it('prune removes a generation with its own parts and tags, and nothing else', async () => {
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

  it('prune removes several generations of a tag, the oldest first', async () => {
    const { bench, move, apply } = await open();
    for (const [day, image] of [one, two, three, four].entries()) move('1', image, day + 1);

    await apply({ keep: 1 });

    assert.deepEqual(bench.backup.store.manifests('acme/app'), [four.digest]);
  });

  it('prune keeps a generation that the tag has gone back to', async () => {
    const { repository, move, tags } = await open();
    for (const [day, image] of [one, two, one, two].entries()) move('1', image, day + 1);
    const rules = { keep: 2, used: new Set<string>() };

    assert.deepEqual(
      await removeGeneration(repository, { digest: one.digest, of: ['1'] }, rules, signal),
      { status: 'changed' },
    );
    assert.ok(tags().includes(generationTag('1', one.digest)));
  });

  it('prune removes an index before an older generation that is a part of it', async () => {
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

  it('prune keeps a generation that got a new tag since the plan', async () => {
    const { repository, move, put, tags } = await open();
    move('1', one, 1);
    move('1', two, 2);
    put('golden', one);

    assert.equal(await removeOld(repository, one.digest), 'changed');
    assert.ok(tags().includes('golden'));
  });

  it('prune keeps a generation that the tag goes back to while the kept images are read', async () => {
    const { bench, move, apply, tags } = await open();
    for (const [day, image] of [one, two, three].entries()) move('1', image, day + 1);
    const back = generationTag('1', one.digest);
    let read = 0;
    bench.backup.faults.add(on('GET', 'manifest'), async (exchange, next) => {
      read += 1;
      // The plan reads three manifests, and so does the check before the removal.
      if (read === 6) move('1', one, 9);
      return await next(exchange);
    });

    await apply({ keep: 2 });

    assert.equal(bench.backup.store.manifest('acme/app', '1')?.digest, one.digest);
    assert.ok(tags().includes(back));
  });

  it('prune reads the tag last before a removal and keeps a generation that it has gone back to', async () => {
    const { bench, repository, move, put, tags } = await open();
    move('1', one, 1);
    move('1', two, 2);
    // A copy or a rollback moves the tag back while the manifests are read.
    bench.backup.faults.add(on('GET', 'manifest'), async (exchange, next) => {
      put('1', one);
      return await next(exchange);
    });

    assert.equal(await removeOld(repository, one.digest), 'changed');
    assert.ok(tags().includes('1'));
    assert.ok(tags().includes(generationTag('1', one.digest)));
  });

  it('prune keeps a generation that became a part of a new image while manifests were read', async () => {
    const { bench, repository, move, put, tags } = await open();
    move('1', one, 1);
    move('1', two, 2);
    const index = makeIndex([one, three]);
    bench.backup.faults.add(on('GET', 'manifest'), async (exchange, next) => {
      put(generationTag('2', index.digest), index);
      return await next(exchange);
    });

    assert.equal(await removeOld(repository, one.digest), 'changed');
    assert.ok(tags().includes(generationTag('1', one.digest)));
  });

  describe('removeGeneration during concurrent writes', () => {
    /** Runs concurrent writes right before or right after the DELETE. */
    async function removeWhile(
      fixture: Fixture,
      writes: { readonly before?: () => void; readonly after?: () => void },
      { digest }: Image = one,
    ): Promise<string> {
      fixture.bench.backup.faults.add(
        on('DELETE', 'manifest'),
        async (exchange, next) => {
          writes.before?.();
          const answered = await next(exchange);
          writes.after?.();
          return answered;
        },
        { times: 1 },
      );
      return await removeOld(fixture.repository, digest);
    }

    it('prune restores a generation that became a part of a new image right before its removal', async () => {
      const fixture = await open();
      fixture.move('1', one, 1);
      fixture.move('1', two, 2);
      const index = makeIndex([one, three]);

      assert.equal(
        await removeWhile(fixture, { before: () => fixture.put('2', index) }),
        'changed',
      );

      assert.ok(walk(fixture.bench.backup, 'acme/app', '2').size > 0);
      assert.ok(fixture.tags().includes(generationTag('1', one.digest)));
    });

    it('prune restores a part of a generation that a new image uses right before its removal', async () => {
      const fixture = await open();
      const old = makeIndex([makeIndex([one])]);
      fixture.move('1', old, 1);
      fixture.move('1', two, 2);
      const index = makeIndex([makeIndex([one]), three]);

      assert.equal(
        await removeWhile(fixture, { before: () => fixture.put('2', index) }, old),
        'removed',
      );

      assert.ok(walk(fixture.bench.backup, 'acme/app', '2').size > 0);
      assert.equal(fixture.bench.backup.store.manifest('acme/app', old.digest), undefined);
    });

    it('prune restores the tag when it goes back to a generation right before its removal', async () => {
      const fixture = await open();
      fixture.move('1', one, 1);
      fixture.move('1', two, 2);

      await assert.rejects(removeWhile(fixture, { before: () => fixture.put('1', one) }), {
        code: 'BACKUP_REFUSED',
        message:
          /also removed other tags: 1; nothing more is removed, and these tags are restored$/,
      });

      assert.equal(fixture.bench.backup.store.manifest('acme/app', '1')?.digest, two.digest);
    });

    it('prune restores the generation tag when a copy moves the tag to it right after its removal', async () => {
      const fixture = await open();
      fixture.move('1', one, 1);
      fixture.move('1', two, 2);

      assert.equal(await removeWhile(fixture, { after: () => fixture.put('1', one) }), 'changed');

      const { store } = fixture.bench.backup;
      assert.equal(store.manifest('acme/app', '1')?.digest, one.digest);
      const generation = generationTag('1', one.digest);
      assert.equal(store.manifest('acme/app', generation)?.digest, one.digest);
    });
  });

  it('prune removes nothing when the registry lists a hold and answers 404 for it', async () => {
    const { bench, repository, move, put, tags } = await open();
    move('1', one, 1);
    move('1', two, 2);
    put('1.hold', one);
    // A lagging replica of the registry does not have the tag yet.
    bench.backup.faults.add(({ path }) => path.endsWith('/1.hold'), answer(404));

    await assert.rejects(removeOld(repository, one.digest), {
      code: 'BACKUP_UNAVAILABLE',
      message: /^the registry lists 1\.hold but does not find it: nothing is removed/,
    });
    assert.ok(tags().includes(generationTag('1', one.digest)));
  });

  it('prune ignores generation tags that the registry lists after their removal', async () => {
    const { bench, repository, move, put, tags } = await open();
    move('1', one, 1);
    move('1', two, 2);
    const dangling = generationTag('1', four.digest);
    put(dangling, four);
    bench.backup.faults.add(({ path }) => path.endsWith(`/${dangling}`), answer(404));

    assert.equal(await removeOld(repository, one.digest), 'removed');
    assert.ok(!tags().includes(generationTag('1', one.digest)));
  });

  it('prune removes nothing when the registry answers 404 for the manifest of a tag', async () => {
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

  it('prune stops when the registry removes other tags, too', async () => {
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

describe('removeGeneration with signatures and other referrers', () => {
  interface Attached {
    readonly signature: ReturnType<typeof makeSignature>;
    readonly referrer: Image;
  }

  /** Attaches a cosign signature and an OCI 1.1 referrer to an image. */
  function attach({ put, bench }: Fixture, image: Image, api = true): Attached {
    const signature = makeSignature(image);
    const referrer = makeReferrer(image, { artifactType: 'application/spdx+json' });
    put(signature.tag, signature.image);
    if (api) seed(bench.backup, 'acme/app', referrer);
    else put(referrersTag(image.digest), makeIndex([referrer]));
    return { signature, referrer };
  }

  for (const api of [true, false]) {
    const how = api ? 'the referrers API' : 'a referrers index in a tag';
    it(`prune removes the signatures and referrers of a generation and of its parts, with ${how}`, async () => {
      const fixture = await open({ backup: { referrers: api } });
      const { bench, move, plan, apply, tags } = fixture;
      const old = makeIndex([one, three]);
      move('1', old, 1);
      move('1', two, 2);
      attach(fixture, old, api);
      attach(fixture, one, api);
      const { signature, referrer } = attach(fixture, two, api);

      assert.deepEqual(await plan({ keep: 1 }), [`${old.digest} of 1: goes with 4`]);
      await apply({ keep: 1 });

      const index = makeIndex([referrer]);
      assert.deepEqual(
        bench.backup.store.manifests('acme/app').toSorted(),
        [two, signature.image, referrer, ...(api ? [] : [index])]
          .map(({ digest }) => digest)
          .toSorted(),
      );
      assert.deepEqual(tags(), [
        '1',
        generationTag('1', two.digest),
        moveTag('1', { at: Date.UTC(2026, 0, 2), from: old.digest }),
        ...(api ? [] : [referrersTag(two.digest)]),
        signature.tag,
      ]);
    });
  }

  it('prune removes the signature of an attestation with the attestation', async () => {
    const fixture = await open();
    fixture.move('1', one, 1);
    fixture.move('1', two, 2);
    attach(fixture, attach(fixture, one).referrer);

    assert.deepEqual(await fixture.plan({ keep: 1 }), ['#1 of 1: goes with 4']);
    await fixture.apply({ keep: 1 });

    assert.deepEqual(fixture.bench.backup.store.manifests('acme/app'), [two.digest]);
  });

  const others: readonly (readonly [
    what: string,
    prepare: (fixture: Fixture, attached: Attached) => void,
    kept: (attached: Attached) => Image,
  ])[] = [
    [
      'a signature that another tag holds',
      ({ put }, { signature }) => put('golden', signature.image),
      ({ signature }) => signature.image,
    ],
    [
      'a copy of a source tag that has the name of a signature',
      ({ put }, { signature: { tag, image } }) => put(generationTag(tag, image.digest), image),
      ({ signature }) => signature.image,
    ],
    [
      'a referrer that is a copied image, too',
      ({ put }, { referrer }) => put(generationTag('2', referrer.digest), referrer),
      ({ referrer }) => referrer,
    ],
    [
      'a referrer that an index of a tag lists',
      ({ put }, { referrer }) => put('multi', makeIndex([referrer])),
      ({ referrer }) => referrer,
    ],
    [
      'a signature that the signature tag of another image holds',
      ({ put }, { signature }) => put(makeSignature(two).tag, signature.image),
      ({ signature }) => signature.image,
    ],
  ];
  for (const [what, prepare, kept] of others) {
    it(`prune keeps ${what}`, async () => {
      const fixture = await open();
      fixture.move('1', one, 1);
      fixture.move('1', two, 2);
      const attached = attach(fixture, one);
      prepare(fixture, attached);

      assert.deepEqual(await fixture.plan({ keep: 1 }), ['#1 of 1: goes with 1']);
      await fixture.apply({ keep: 1 });

      const { store } = fixture.bench.backup;
      assert.equal(store.manifest('acme/app', one.digest), undefined);
      const { digest } = kept(attached);
      assert.ok(store.manifest('acme/app', digest) !== undefined);
    });
  }

  it('prune keeps a referrer whose digest is in use', async () => {
    const fixture = await open();
    fixture.move('1', one, 1);
    fixture.move('1', two, 2);
    const { referrer } = attach(fixture, one);

    await fixture.apply({ keep: 1, used: new Set([referrer.digest]) });

    const left = fixture.bench.backup.store.manifests('acme/app');
    assert.deepEqual(left.toSorted(), [two.digest, referrer.digest].toSorted());
  });

  it('prune removes nothing that a forged referrers index lists: manifests without that subject', async () => {
    const fixture = await open({ backup: { referrers: false } });
    const { bench, put, move, apply } = fixture;
    move('1', one, 1);
    move('1', two, 2);
    // Known by its digest only, as a child of an image that another repository of the source had.
    const untagged = makeIndex([three]);
    const index = makeIndex([two, three, untagged]);
    put(referrersTag(one.digest), index);

    await apply({ keep: 1 });

    const left = [two, three, untagged, index].map(({ digest }) => digest);
    assert.deepEqual(bench.backup.store.manifests('acme/app').toSorted(), left.toSorted());
  });

  const odd: readonly (readonly [what: string, tag: string, image: Image])[] = [
    ['an image in the place of a referrers index', referrersTag(one.digest), three],
    ['an index in the place of a signature', makeSignature(one).tag, makeIndex([three])],
  ];
  for (const [what, tag, image] of odd) {
    it(`prune keeps ${what}`, async () => {
      const fixture = await open();
      fixture.move('1', one, 1);
      fixture.move('1', two, 2);
      fixture.put(tag, image);

      assert.deepEqual(await fixture.plan({ keep: 1 }), ['#1 of 1: goes']);
      await fixture.apply({ keep: 1 });

      assert.equal(fixture.bench.backup.store.manifest('acme/app', tag)?.digest, image.digest);
    });
  }

  it('prune does not count an attestation that is a part of its generation', async () => {
    const fixture = await open();
    const attestation = makeReferrer(one, { artifactType: 'application/vnd.in-toto+json' });
    const old = makeIndex([one, attestation]);
    fixture.move('1', old, 1);
    fixture.move('1', two, 2);

    assert.deepEqual(await fixture.plan({ keep: 1 }), [`${old.digest} of 1: goes`]);
  });

  it('prune keeps the signatures of a manifest that a concurrent copy has written again, without a tag so far', async () => {
    const fixture = await open();
    fixture.move('1', one, 1);
    fixture.move('1', two, 2);
    const { signature } = attach(fixture, one);
    fixture.bench.backup.faults.add(
      on('DELETE', 'manifest'),
      async (exchange, next) => {
        const answered = await next(exchange);
        seed(fixture.bench.backup, 'acme/app', one);
        return answered;
      },
      { times: 1 },
    );

    assert.equal(await removeOld(fixture.repository, one.digest), 'removed');
    assert.ok(fixture.tags().includes(signature.tag));
  });

  it('prune keeps the signatures of a generation that a concurrent copy restores', async () => {
    const fixture = await open();
    fixture.move('1', one, 1);
    fixture.move('1', two, 2);
    const { signature, referrer } = attach(fixture, one);
    fixture.bench.backup.faults.add(
      on('DELETE', 'manifest'),
      async (exchange, next) => {
        const answered = await next(exchange);
        fixture.put('1', one);
        return answered;
      },
      { times: 1 },
    );

    assert.equal(await removeOld(fixture.repository, one.digest), 'changed');

    const { store } = fixture.bench.backup;
    for (const { digest } of [signature.image, referrer]) {
      assert.ok(store.manifest('acme/app', digest) !== undefined);
    }
  });

  it('prune restores a referrer that became a part of a new image right before its removal', async () => {
    const fixture = await open();
    fixture.move('1', one, 1);
    fixture.move('1', two, 2);
    const { referrer } = attach(fixture, one);
    fixture.bench.backup.faults.add(
      ({ method, path }) => method === 'DELETE' && path.endsWith(referrer.digest),
      async (exchange, next) => {
        fixture.put('multi', makeIndex([referrer]));
        return await next(exchange);
      },
    );

    assert.equal(await removeOld(fixture.repository, one.digest), 'removed');

    assert.ok(walk(fixture.bench.backup, 'acme/app', 'multi').size > 0);
  });

  it('prune accepts a registry that removes signatures together with their image', async () => {
    const fixture = await open();
    fixture.move('1', one, 1);
    fixture.move('1', two, 2);
    const { signature } = attach(fixture, one);
    fixture.bench.backup.faults.add(on('DELETE', 'manifest'), async (exchange, next) => {
      fixture.bench.backup.store.deleteManifest('acme/app', signature.image.digest);
      return await next(exchange);
    });

    assert.equal(await removeOld(fixture.repository, one.digest), 'removed');
    assert.deepEqual(fixture.bench.backup.store.manifests('acme/app'), [two.digest]);
  });

  it('prune ignores signature tags that the registry lists after their removal', async () => {
    const fixture = await open();
    fixture.move('1', one, 1);
    fixture.move('1', two, 2);
    const { tag, image } = makeSignature(four);
    fixture.put(tag, image);
    fixture.bench.backup.faults.add(({ path }) => path.endsWith(`/${tag}`), answer(404));

    assert.equal(await removeOld(fixture.repository, one.digest), 'removed');
  });
});

describe('removeGeneration on a registry that does not keep its word', () => {
  it('prune reports a registry that accepts a removal and does nothing, and removes no parts', async () => {
    const { bench, repository, move, tags } = await open();
    const old = makeIndex([one, three]);
    move('1', old, 1);
    move('1', two, 2);
    const before = tags();
    bench.backup.faults.add(on('DELETE', 'manifest'), answer(202, { body: '' }));

    assert.equal(await removeOld(repository, old.digest), 'still-tagged');

    assert.deepEqual(tags(), before);
    assert.equal(bench.backup.requests.count({ method: 'DELETE' }), 1);
  });

  it('prune restores a manifest whose tags the registry keeps', async () => {
    const { bench, repository, move, tags } = await open();
    const old = makeIndex([one, three]);
    move('1', old, 1);
    move('1', two, 2);
    const generation = generationTag('1', old.digest);
    // The tag is listed and resolves, and its manifest is gone.
    const body = JSON.stringify({ name: 'acme/app', tags: tags() });
    bench.backup.faults.add(on('GET', 'tags'), answer(200, { body }));
    bench.backup.faults.add(
      ({ method, path }) => method === 'HEAD' && path.endsWith(`/${generation}`),
      answer(200, { body: '', headers: { 'docker-content-digest': old.digest } }),
    );

    assert.equal(await removeOld(repository, old.digest), 'still-tagged');

    assert.ok(walk(bench.backup, 'acme/app', generation).size > 0);
  });

  it('prune removes nothing while tags vanish from the list', async () => {
    const { bench, repository, move, put, tags } = await open();
    move('1', one, 1);
    move('1', two, 2);
    put('golden', three);
    let lists = 0;
    bench.backup.faults.add(on('GET', 'tags'), async (exchange, next) => {
      lists += 1;
      // A replica of the registry that lags.
      const body = JSON.stringify({
        name: 'acme/app',
        tags: tags().filter((each) => each !== 'golden'),
      });
      return lists > 4 ? await answer(200, { body })(exchange, next) : await next(exchange);
    });

    assert.equal(await removeOld(repository, one.digest), 'changed');
    assert.equal(bench.backup.requests.count({ method: 'DELETE' }), 0);
  });

  it('prune keeps a generation that an existing tag of another tool moves to while manifests are read', async () => {
    const { bench, repository, move, put, tags } = await open();
    move('1', one, 1);
    move('1', two, 2);
    put('golden', three);
    bench.backup.faults.add(on('GET', 'manifest'), async (exchange, next) => {
      put('golden', one);
      return await next(exchange);
    });

    assert.equal(await removeOld(repository, one.digest), 'changed');
    assert.ok(tags().includes('golden'));
  });

  it('prune removes nothing when a generation tag of another tag with this digest is not found', async () => {
    const { bench, repository, move, put } = await open();
    move('1', one, 1);
    move('1', two, 2);
    const other = generationTag('2', one.digest);
    put(other, one);
    put('2', two);
    bench.backup.faults.add(({ path }) => path.endsWith(`/${other}`), answer(404));

    await assert.rejects(removeOld(repository, one.digest), {
      message: new RegExp(`^the registry lists ${other} but does not find it`),
    });
  });

  it('prune removes nothing when a copied tag that looks like a generation tag is not found', async () => {
    const { bench, repository, move, put } = await open();
    move('1', one, 1);
    move('1', two, 2);
    const copied = '1.aaaaaaaaaaaa';
    put(copied, one);
    put(generationTag(copied, three.digest), three);
    bench.backup.faults.add(({ path }) => path.endsWith(`/${copied}`), answer(404));

    await assert.rejects(removeOld(repository, one.digest), {
      message: /^the registry lists 1\.aaaaaaaaaaaa but does not find it/,
    });
  });
});
