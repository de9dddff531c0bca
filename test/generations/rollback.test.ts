import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { released } from '../../lib/cloner/backup/hold.ts';
import { readHoldings } from '../../lib/generations/generations.ts';
import { type RollbackContext, release, rollBack } from '../../lib/generations/rollback.ts';
import { currentDigest } from '../../lib/image/current-digest.ts';
import {
  answer,
  caselessTags,
  immutableTags,
  makeImage,
  makeIndex,
  on,
  seed,
} from '../../lib/memory-registry/index.ts';
import { type Bench, useBench, walk } from '../adapters/registry/bench.ts';

const at = Date.UTC(2026, 10, 25, 3, 34, 8);
const old = makeIndex([
  makeImage({ seed: 'old' }),
  makeImage({ seed: 'old', platform: 'linux/arm64' }),
]);
const current = makeImage({ seed: 'current' });
const hexOf = ({ digest }: { readonly digest: string }): string => digest.slice(7, 19);

const openBench = useBench();

/** `acme/app:1` was `old` and is `current`. */
async function open(): Promise<{
  readonly bench: Bench;
  readonly context: RollbackContext;
  readonly held: (tag: string) => string | undefined;
}> {
  const bench = await openBench();
  const { backup } = bench;
  seed(backup, `acme/app:1.${hexOf(old)}`, old);
  seed(backup, `acme/app:1.${hexOf(current)}`, current);
  seed(backup, 'acme/app:1', current);
  backup.requests.clear();
  return {
    bench,
    context: {
      repository: await bench.repository('acme/app'),
      backup: { domain: 'registry.example', path: 'acme/app', tag: '1' },
      adoptExisting: false,
      now: () => at,
      signal: new AbortController().signal,
    },
    held: (tag) => backup.store.manifest('acme/app', tag)?.digest,
  };
}

/** Tags in the order in which they were written. */
function written({ backup }: Bench): readonly string[] {
  return backup.requests
    .list({ method: 'PUT', kind: 'manifest' })
    .map(({ path }) => path.slice(path.lastIndexOf('/') + 1));
}

describe('rollBack', () => {
  it('a rollback writes the hold, released at first, then the move tag, then the plain tag', async () => {
    const { bench, context, held } = await open();

    const moved = await rollBack(context, old.digest);

    assert.deepEqual(moved, { digest: old.digest, from: current.digest });
    const move = `1.moved.20261125t033408z.${hexOf(current)}`;
    assert.deepEqual(written(bench), ['1.hold', '1.hold', move, '1']);
    for (const tag of ['1', '1.hold', move]) assert.equal(held(tag), old.digest, tag);
    assert.equal(held(`1.${hexOf(current)}`), current.digest);
    assert.equal(walk(bench.backup, 'acme/app', '1').size, 7);
  });

  for (const wanted of [
    hexOf(old),
    `sha256:${hexOf(old)}`,
    old.digest.slice(0, 30),
    old.digest.slice(7),
  ]) {
    it(`finds the generation of a rollback by ${wanted.slice(0, 24)}`, async () => {
      const { context, held } = await open();

      await rollBack(context, wanted);

      assert.equal(held('1'), old.digest);
    });
  }

  it('a rollback writes only the hold when the tag holds the digest already', async () => {
    const { bench, context, held } = await open();

    assert.deepEqual(await rollBack(context, current.digest), {
      digest: current.digest,
      from: current.digest,
    });
    assert.deepEqual(written(bench), ['1.hold', '1.hold']);
    assert.equal(held('1.hold'), current.digest);
  });

  it('a rollback reads the tag again after it wrote the hold, because a review may have moved the tag before', async () => {
    const { bench, context, held } = await open();
    const newest = makeImage({ seed: 'newest' });
    const { backup } = bench;
    backup.faults.add(
      ({ method, path }) => method === 'PUT' && path.endsWith('/1.hold'),
      async (exchange, next) => {
        seed(backup, `acme/app:1.${hexOf(newest)}`, newest);
        seed(backup, 'acme/app:1', newest);
        return await next(exchange);
      },
    );

    // The tag held this digest at the first read.
    assert.deepEqual(await rollBack(context, current.digest), {
      digest: current.digest,
      from: newest.digest,
    });

    assert.equal(held('1'), current.digest);
    assert.equal(held(`1.moved.20261125t033408z.${hexOf(newest)}`), current.digest);
  });

  it('rolls a tag back and forth', async () => {
    const { context, held } = await open();
    await rollBack(context, old.digest);

    await rollBack(context, current.digest);

    assert.equal(held('1'), current.digest);
    assert.equal(held('1.hold'), current.digest);
  });

  const refused = [
    [
      'a digest that the tag never held',
      `sha256:${'0'.repeat(64)}`,
      'BACKUP_NOT_FOUND',
      /no generation sha256:0000/,
    ],
    ['a generation of another tag', '', 'BACKUP_NOT_FOUND', /no generation/],
    [
      'text that is no digest',
      'latest',
      'INVALID_REFERENCE',
      /^"latest" is not a digest: write one such as/,
    ],
    ['a path', '../../x', 'INVALID_REFERENCE', /is not a digest/],
    ['too few digits', 'abc', 'INVALID_REFERENCE', /at least 6 hexadecimal digits/],
  ] as const;
  for (const [what, wanted, code, message] of refused) {
    it(`refuses to roll back to ${what}, and writes nothing`, async () => {
      const { bench, context } = await open();
      const other = makeImage({ seed: 'other' });
      seed(bench.backup, `acme/app:2.${hexOf(other)}`, other);

      await assert.rejects(rollBack(context, wanted === '' ? other.digest : wanted), {
        code,
        message,
      });
      assert.deepEqual(written(bench), []);
    });
  }

  const deletions = [
    [
      'a layer',
      (bench: Bench) =>
        bench.backup.store.deleteBlob('acme/app', old.children[1]?.blobs[1]?.digest ?? ''),
    ],
    [
      'a config',
      (bench: Bench) =>
        bench.backup.store.deleteBlob('acme/app', old.children[0]?.blobs[0]?.digest ?? ''),
    ],
    [
      'a platform',
      (bench: Bench) =>
        bench.backup.store.deleteManifest('acme/app', old.children[1]?.digest ?? ''),
    ],
  ] as const;
  for (const [what, deletePart] of deletions) {
    it(`refuses to roll back to a generation that lost ${what}, and names the missing digest`, async () => {
      const { bench, context, held } = await open();
      assert.ok(deletePart(bench));

      await assert.rejects(rollBack(context, old.digest), {
        code: 'BACKUP_NOT_FOUND',
        message:
          /is incomplete: the backup lacks sha256:[0-9a-f]{64}; registry\.example\/acme\/app:1 was not moved$/,
      });
      assert.deepEqual(written(bench), []);
      assert.equal(held('1'), current.digest);
    });
  }

  it('refuses to move a tag that another tool wrote, unless ADOPT_EXISTING gives it a generation tag', async () => {
    const { bench, context, held } = await open();
    const foreign = makeImage({ seed: 'foreign' });
    seed(bench.backup, 'acme/app:1', foreign);

    await assert.rejects(rollBack(context, old.digest), { code: 'BACKUP_NOT_OURS' });
    assert.equal(held('1'), foreign.digest);

    await rollBack({ ...context, adoptExisting: true }, old.digest);
    assert.equal(held(`1.${hexOf(foreign)}`), foreign.digest);
    assert.equal(held('1'), old.digest);
  });

  describe('rollBack on a registry with immutable tags', () => {
    const sentence = (tag: string, outcome = 'was not rolled back and stays as it is'): string =>
      `registry.example/acme/app:1 ${outcome}: the backup registry registry.example does not let the tag ${tag} move (writing the manifest: The image tag '${tag}' already exists in the 'acme/app' repository and cannot be overwritten because the repository is immutable.); allow that in the registry, or name the digest in the workload`;

    /** `1` held `old`, then the source moved to `current` and the registry refused that. */
    async function openImmutable(match = (_path: string) => true): ReturnType<typeof open> {
      const fixture = await open();
      const { backup } = fixture.bench;
      seed(backup, 'acme/app:1', old);
      seed(backup, `acme/app:1.moved.20261120t000000z.${hexOf(old)}`, current);
      backup.faults.add(({ path }) => match(path), immutableTags());
      return fixture;
    }

    async function meaning({ repository }: RollbackContext): Promise<string | undefined> {
      return currentDigest(await readHoldings(repository, new AbortController().signal), '1');
    }

    for (const [what, wanted] of [
      ['its own digest', old],
      ['another generation', current],
    ] as const) {
      it(`refuses to hold an immutable tag at ${what}, in one sentence, and leaves no hold`, async () => {
        const { context, held } = await openImmutable();

        await assert.rejects(rollBack(context, wanted.digest), {
          code: 'BACKUP_REFUSED',
          message: sentence('1.hold'),
        });

        assert.equal(held('1.hold'), released.digest);
        assert.equal(held('1'), old.digest);
        assert.equal(await meaning(context), current.digest);
        await assert.rejects(rollBack(context, wanted.digest), { message: sentence('1.hold') });
        assert.equal(await release(context), undefined);
      });
    }

    it('releases the hold again if the registry lets the hold move and not the tag', async () => {
      const { context, held, bench } = await openImmutable((path) => path.endsWith('/manifests/1'));
      const other = makeImage({ seed: 'other' });
      seed(bench.backup, `acme/app:1.${hexOf(other)}`, other);

      await assert.rejects(rollBack(context, other.digest), { message: sentence('1') });

      assert.equal(held('1.hold'), released.digest);
      assert.equal(held('1'), old.digest);
      assert.equal(await meaning(context), current.digest);
    });

    it('restores the hold at another digest if the registry does not let the tag move', async () => {
      const { context, held, bench } = await openImmutable((path) => path.endsWith('/manifests/1'));
      seed(bench.backup, 'acme/app:1.hold', old);

      await assert.rejects(rollBack(context, current.digest), { message: sentence('1') });

      assert.equal(held('1.hold'), old.digest);
    });

    it('refuses to end a hold that cannot be overwritten, in one sentence', async () => {
      const { context, bench, held } = await openImmutable();
      seed(bench.backup, 'acme/app:1.hold', old);

      await assert.rejects(release(context), { message: sentence('1.hold', 'is still held') });

      assert.equal(held('1.hold'), old.digest);
    });
  });

  it('a rollback without the right to write reports that, and writes nothing', async () => {
    const { bench, context, held } = await open();
    bench.backup.faults.add(({ method }) => method !== 'GET' && method !== 'HEAD', answer(403));

    await assert.rejects(rollBack(context, old.digest), {
      code: 'BACKUP_DENIED',
      message: /denied access to .+; check the user in registry-auth and its permissions/,
    });
    assert.equal(held('1.hold'), undefined);
  });

  it('a rollback to the digest that the tag holds ends an interrupted move to another one', async () => {
    const { bench, context } = await open();
    seed(bench.backup, `acme/app:1.moved.20261120t000000z.${hexOf(current)}`, old);

    await rollBack(context, current.digest);

    const holdings = await readHoldings(context.repository, context.signal);
    assert.equal(currentDigest(holdings, '1'), current.digest);
  });

  it('finds a generation that the registry lists in lower case', async () => {
    const { bench, context } = await open();
    bench.backup.faults.add(() => true, caselessTags());
    seed(bench.backup, `acme/app:v1-alpine.${hexOf(old)}`, old);
    seed(bench.backup, `acme/app:v1-alpine.${hexOf(current)}`, current);
    seed(bench.backup, 'acme/app:v1-alpine', current);

    await rollBack({ ...context, backup: { ...context.backup, tag: 'v1-Alpine' } }, old.digest);

    assert.equal(bench.backup.store.manifest('acme/app', 'v1-alpine')?.digest, old.digest);
    assert.equal(bench.backup.store.manifest('acme/app', 'v1-alpine.hold')?.digest, old.digest);
  });

  it('does not take a generation of v1-alpine for one of v1-Alpine', async () => {
    const { bench, context } = await open();
    seed(bench.backup, `acme/app:v1-alpine.${hexOf(old)}`, old);

    const backup = { ...context.backup, tag: 'v1-Alpine' };
    await assert.rejects(rollBack({ ...context, backup }, old.digest), {
      code: 'BACKUP_NOT_FOUND',
      message: /no generation/,
    });
  });

  it('completes an interrupted rollback when it is repeated', async () => {
    const { bench, context, held } = await open();
    const failing = bench.backup.faults.add(
      ({ method, path }) => method === 'PUT' && path.endsWith('/manifests/1'),
      answer(500),
    );
    await assert.rejects(rollBack(context, old.digest), { code: 'BACKUP_UNAVAILABLE' });
    assert.equal(held('1'), current.digest);
    assert.equal(held('1.hold'), old.digest);
    failing.end();

    await rollBack(context, old.digest);

    assert.equal(held('1'), old.digest);
  });
});

describe('release', () => {
  it('a release overwrites the hold, and deletes nothing', async () => {
    const { bench, context, held } = await open();
    await rollBack(context, old.digest);
    bench.backup.requests.clear();

    assert.equal(await release(context), old.digest);

    assert.equal(held('1.hold'), released.digest);
    assert.equal(held('1'), old.digest);
    assert.equal(held(`1.${hexOf(old)}`), old.digest);
    assert.equal(bench.backup.requests.count({ method: 'DELETE' }), 0);
    assert.equal(walk(bench.backup, 'acme/app', '1.hold').size, 2);
  });

  it('a release writes nothing when no hold exists or it is released already', async () => {
    const { bench, context } = await open();

    assert.equal(await release(context), undefined);
    await rollBack(context, old.digest);
    await release(context);
    bench.backup.requests.clear();

    assert.equal(await release(context), undefined);
    assert.deepEqual(written(bench), []);
  });

  it('writes the hold again after a release', async () => {
    const { context, held } = await open();
    await rollBack(context, old.digest);
    await release(context);

    await rollBack(context, current.digest);

    assert.equal(held('1.hold'), current.digest);
  });

  it('a release fails when the registry does not report whether a hold exists', async () => {
    const { bench, context } = await open();
    bench.backup.faults.add(on('HEAD', 'manifest'), answer(403));
    bench.backup.faults.add(on('GET', 'manifest'), answer(403));

    await assert.rejects(release(context), { code: 'BACKUP_DENIED' });
  });
});
