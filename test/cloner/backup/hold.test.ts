import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { released } from '../../../lib/cloner/backup/hold.ts';
import { createEnsureBackup } from '../../../lib/cloner/ensure-backup.ts';
import { createCopies } from '../../../lib/cloner/queue/copies.ts';
import { CloneError } from '../../../lib/errors.ts';
import { backupReference } from '../../../lib/image/backup-name.ts';
import { parseReference } from '../../../lib/image/reference.ts';
import type { CloneOutcome, ImageCloner } from '../../../lib/index.ts';
import { createFakeCloner, type FakeCloner } from '../../support/fake-cloner.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'b'.repeat(64)}`;
const C = `sha256:${'c'.repeat(64)}`;
const location = { domain: 'registry.example', namespace: 'acme', naming: 'flat' } as const;
const at = Date.UTC(2026, 10, 25, 3, 34, 8);

interface Stage {
  readonly cloner: FakeCloner;
  readonly review: (image?: string, options?: { dryRun?: boolean }) => Promise<CloneOutcome>;
  readonly tags: () => Readonly<Record<string, string>>;
  /** What a rollback writes, as far as it came. */
  readonly hold: (digest: string) => void;
  readonly move: (digest: string) => void;
}

function stage(
  keepsDigest: boolean,
  wrap: (cloner: FakeCloner) => ImageCloner = (cloner) => cloner,
): Stage {
  const cloner = createFakeCloner({ keepsDigest });
  const repository = 'registry.example/acme/nginx';
  const ensureBackup = createEnsureBackup({
    cloner: wrap(cloner),
    copies: createCopies({ now: () => 0 }),
    sourceCredentials: { credentialsFor: () => Promise.resolve([]) },
    backupCredentials: () => Promise.resolve(undefined),
    pinDigests: true,
    adoptExisting: false,
    clusterId: '',
    privateToPublic: 'deny',
    logger: createMemoryLog().logger,
    observer: { reviewed() {}, cloned() {}, backupAnswered() {} },
    now: () => 0,
    wallClock: () => at,
  });
  return {
    cloner,
    review: (image = 'nginx:1.27', { dryRun = false } = {}) => {
      const source = parseReference(image);
      return ensureBackup({
        source,
        backup: backupReference(source, location),
        dryRun,
        budgetMs: 9_000,
        signal: new AbortController().signal,
        uid: 'u',
      });
    },
    tags: () => cloner.tags(repository),
    hold: (digest) => cloner.put(`${repository}:1.27.hold`, digest),
    move: (digest) => cloner.put(`${repository}:1.27`, digest),
  };
}

function digestOf(outcome: CloneOutcome): string | undefined {
  assert.equal(outcome.status, 'ready');
  return outcome.image.digest;
}

function warningsOf(outcome: CloneOutcome): readonly string[] {
  assert.equal(outcome.status, 'ready');
  return outcome.warnings;
}

for (const keepsDigest of [true, false]) {
  const copyOf = (digest: string): string =>
    keepsDigest ? digest : digest.replace(/:..../, ':f0f0');
  const short = copyOf(A).slice(0, 19);
  const warning = `nginx:1.27 is held at ${short}; "just rollback IMAGE --release" ends that`;

  /** `nginx:1.27` was A, then B, and was rolled back to A; its source is at C by now. */
  const rolledBack = async (): Promise<Stage> => {
    const staged = stage(keepsDigest);
    for (const digest of [A, B]) {
      staged.cloner.put('nginx:1.27', digest);
      await staged.review();
    }
    staged.hold(copyOf(A));
    staged.move(copyOf(A));
    staged.cloner.put('nginx:1.27', C);
    return staged;
  };

  describe(`a hold, with a cloner that ${keepsDigest ? 'keeps' : 'changes'} digests`, () => {
    it('keeps the tag where it is, copies nothing, and is told', async () => {
      const { cloner, review, tags } = await rolledBack();
      const begun = cloner.begun.length;

      const outcome = await review();

      assert.equal(digestOf(outcome), copyOf(A));
      assert.deepEqual(warningsOf(outcome), [warning]);
      assert.equal(tags()['1.27'], copyOf(A));
      assert.equal(cloner.begun.length, begun);
    });

    it('is in force in a dry run', async () => {
      const { review } = await rolledBack();

      const outcome = await review('nginx:1.27', { dryRun: true });

      assert.equal(digestOf(outcome), copyOf(A));
      assert.deepEqual(warningsOf(outcome), [warning]);
    });

    it('is asked for only where the tag is about to move', async () => {
      const { cloner, review } = await rolledBack();
      cloner.put('nginx:1.27', A);
      const before = cloner.asked.length;

      await review();

      const asked = cloner.asked.slice(before);
      assert.ok(!asked.some((name) => name.endsWith('.hold')), asked.join(' '));
      assert.ok(asked.length <= 4);
    });

    it('does not concern what is pinned to a digest', async () => {
      const { review, tags } = await rolledBack();

      const outcome = await review(`nginx:1.27@${C}`);

      assert.equal(digestOf(outcome), copyOf(C));
      assert.deepEqual(warningsOf(outcome), []);
      assert.equal(tags()['1.27'], copyOf(A));
    });

    it('ends when it is released', async () => {
      const { review, hold, tags } = await rolledBack();
      hold(released.digest);

      const outcome = await review();

      assert.equal(digestOf(outcome), copyOf(C));
      assert.deepEqual(warningsOf(outcome), []);
      assert.equal(tags()['1.27'], copyOf(C));
      const from = copyOf(A).slice(7, 19);
      assert.equal(tags()[`1.27.moved.20261125T033408Z.${from}`], copyOf(C));
    });

    it('stops a copy that was begun before it', async () => {
      const { cloner, review, hold, move, tags } = await rolledBack();
      hold(released.digest);
      move(copyOf(B));
      const release = cloner.hold();
      const outcome = review();
      await flushed();
      hold(copyOf(A));
      move(copyOf(A));
      release();

      assert.deepEqual(warningsOf(await outcome), [warning]);
      assert.equal(tags()['1.27'], copyOf(A));
      assert.equal(tags()[`1.27.${copyOf(C).slice(7, 19)}`], copyOf(C));
    });
  });
}

describe('a hold that comes between the last look and the move', () => {
  it('is found after it, and the tag moves back', async () => {
    let lateHold: (() => void) | undefined;
    const staged = stage(true, (cloner) => ({
      ...cloner,
      async copy(...asked) {
        const copied = await cloner.copy(...asked);
        return {
          ...copied,
          async writeTags(tags, within) {
            lateHold?.();
            await copied.writeTags(tags, within);
          },
        };
      },
    }));
    for (const digest of [A, B]) {
      staged.cloner.put('nginx:1.27', digest);
      await staged.review();
    }
    staged.cloner.put('nginx:1.27', C);
    lateHold = () => {
      lateHold = undefined;
      staged.hold(A);
      staged.move(A);
    };

    const outcome = await staged.review();

    assert.equal(digestOf(outcome), A);
    assert.match(warningsOf(outcome).join(), /^nginx:1\.27 is held at sha256:aaaaaaaaaaaa;/);
    assert.equal(staged.tags()['1.27'], A);
    assert.equal(staged.tags()['1.27.cccccccccccc'], C);
  });
});

async function flushed(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
}

describe('a rollback that was interrupted after its hold', () => {
  /** As `rolledBack`, but the tag is still at B. */
  const interrupted = async (keepsDigest: boolean): Promise<Stage> => {
    const staged = stage(keepsDigest);
    for (const digest of [A, B]) {
      staged.cloner.put('nginx:1.27', digest);
      await staged.review();
    }
    staged.cloner.put('nginx:1.27', C);
    return staged;
  };

  it('is finished by the next review that would move the tag on', async () => {
    const { review, hold, tags } = await interrupted(true);
    hold(A);

    const outcome = await review();

    assert.equal(digestOf(outcome), A);
    assert.match(warningsOf(outcome).join(), /^nginx:1\.27 is held at sha256:aaaaaaaaaaaa;/);
    assert.equal(tags()['1.27'], A);
    assert.equal(tags()['1.27.bbbbbbbbbbbb'], B);
  });

  it('is finished by a daemon that pushes the same digest again', async () => {
    const { review, hold, tags } = await interrupted(false);
    const pushedA = A.replace(/:..../, ':f0f0');
    hold(pushedA);

    assert.equal(digestOf(await review()), pushedA);
    assert.equal(tags()['1.27'], pushedA);
  });

  it('is told where it cannot be finished, and nothing moves', async () => {
    const { cloner, review, hold, tags } = await interrupted(true);
    hold(A);
    const pinned = `registry.example/acme/nginx@${A}`;
    cloner.fail(pinned, new CloneError('BACKUP_REFUSED', 'no'));

    const outcome = await review();

    assert.equal(digestOf(outcome), B);
    assert.deepEqual(warningsOf(outcome), [
      'a rollback is not finished: "just rollback nginx:1.27 sha256:aaaaaaaaaaaa" does that',
    ]);
    assert.equal(tags()['1.27'], B);
  });

  it('counts as well where the tag is gone', async () => {
    const { cloner, review, tags } = await interrupted(true);
    cloner.remove('registry.example/acme/nginx');
    for (const tag of ['1.27.hold', '1.27.aaaaaaaaaaaa']) {
      cloner.put(`registry.example/acme/nginx:${tag}`, A);
    }

    assert.equal(digestOf(await review()), A);
    assert.equal(tags()['1.27'], A);
  });
});

describe('released', () => {
  it('has the digests of its texts', () => {
    assert.equal(sha256(released.manifest), released.digest);
    assert.equal(sha256(released.config), released.configDigest);
    assert.ok(released.manifest.includes(`"digest":"${released.configDigest}","size":82`));
    assert.equal(released.config.length, 82);
  });
});

function sha256(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
