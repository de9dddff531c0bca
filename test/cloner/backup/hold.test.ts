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

interface Fixture {
  readonly cloner: FakeCloner;
  readonly review: (image?: string, options?: { dryRun?: boolean }) => Promise<CloneOutcome>;
  readonly tags: () => Readonly<Record<string, string>>;
  /** Writes the hold tag, as a rollback does first. */
  readonly writeHold: (digest: string) => void;
  /** Moves the plain tag, as a rollback does last. */
  readonly movePlainTag: (digest: string) => void;
}

function createFixture(
  keepsDigest: boolean,
  wrap: (cloner: FakeCloner) => ImageCloner = (cloner) => cloner,
): Fixture {
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
    writeHold: (digest) => cloner.put(`${repository}:1.27.hold`, digest),
    movePlainTag: (digest) => cloner.put(`${repository}:1.27`, digest),
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
  const warning = `nginx:1.27 is held at ${short}; "just rollback IMAGE --release" releases it`;

  /** `nginx:1.27` was A, then B, and was rolled back to A; its source is now C. */
  const createRolledBack = async (): Promise<Fixture> => {
    const fixture = createFixture(keepsDigest);
    for (const digest of [A, B]) {
      fixture.cloner.put('nginx:1.27', digest);
      await fixture.review();
    }
    fixture.writeHold(copyOf(A));
    fixture.movePlainTag(copyOf(A));
    fixture.cloner.put('nginx:1.27', C);
    return fixture;
  };

  describe(`createEnsureBackup for a held tag, with a cloner that ${keepsDigest ? 'keeps' : 'changes'} digests`, () => {
    it('does not move a held tag, copies nothing and warns', async () => {
      const { cloner, review, tags } = await createRolledBack();
      const begun = cloner.begun.length;

      const outcome = await review();

      assert.equal(digestOf(outcome), copyOf(A));
      assert.deepEqual(warningsOf(outcome), [warning]);
      assert.equal(tags()['1.27'], copyOf(A));
      assert.equal(cloner.begun.length, begun);
    });

    it('applies a hold in a dry run', async () => {
      const { review } = await createRolledBack();

      const outcome = await review('nginx:1.27', { dryRun: true });

      assert.equal(digestOf(outcome), copyOf(A));
      assert.deepEqual(warningsOf(outcome), [warning]);
    });

    it('reads the hold only when the tag is about to move', async () => {
      const { cloner, review } = await createRolledBack();
      cloner.put('nginx:1.27', A);
      const before = cloner.resolved.length;

      await review();

      const reads = cloner.resolved.slice(before);
      assert.ok(!reads.some((name) => name.endsWith('.hold')), reads.join(' '));
      assert.ok(reads.length <= 4);
    });

    it('ignores a hold for an image pinned by digest', async () => {
      const { review, tags } = await createRolledBack();

      const outcome = await review(`nginx:1.27@${C}`);

      assert.equal(digestOf(outcome), copyOf(C));
      assert.deepEqual(warningsOf(outcome), []);
      assert.equal(tags()['1.27'], copyOf(A));
    });

    it('moves the tag again after the hold is released', async () => {
      const { review, writeHold, tags } = await createRolledBack();
      writeHold(released.digest);

      const outcome = await review();

      assert.equal(digestOf(outcome), copyOf(C));
      assert.deepEqual(warningsOf(outcome), []);
      assert.equal(tags()['1.27'], copyOf(C));
      const from = copyOf(A).slice(7, 19);
      assert.equal(tags()[`1.27.moved.20261125t033408z.${from}`], copyOf(C));
    });

    it('does not move the tag when the hold is written while a copy runs', async () => {
      const { cloner, review, writeHold, movePlainTag, tags } = await createRolledBack();
      writeHold(released.digest);
      movePlainTag(copyOf(B));
      const release = cloner.pauseCopies();
      const outcome = review();
      await flushed();
      writeHold(copyOf(A));
      movePlainTag(copyOf(A));
      release();

      assert.deepEqual(warningsOf(await outcome), [warning]);
      assert.equal(tags()['1.27'], copyOf(A));
      assert.equal(tags()[`1.27.${copyOf(C).slice(7, 19)}`], copyOf(C));
    });
  });
}

describe('createEnsureBackup for a hold that is written between the last read and the move', () => {
  it('reads a hold again after the move, and moves the tag back if it was written meanwhile', async () => {
    let writeLateHold: (() => void) | undefined;
    const fixture = createFixture(true, (cloner) => ({
      ...cloner,
      async copy(...args) {
        const copied = await cloner.copy(...args);
        return {
          ...copied,
          async writeTags(tags, within) {
            writeLateHold?.();
            await copied.writeTags(tags, within);
          },
        };
      },
    }));
    for (const digest of [A, B]) {
      fixture.cloner.put('nginx:1.27', digest);
      await fixture.review();
    }
    fixture.cloner.put('nginx:1.27', C);
    writeLateHold = () => {
      writeLateHold = undefined;
      fixture.writeHold(A);
      fixture.movePlainTag(A);
    };

    const outcome = await fixture.review();

    assert.equal(digestOf(outcome), A);
    assert.match(warningsOf(outcome).join(), /^nginx:1\.27 is held at sha256:aaaaaaaaaaaa;/);
    assert.equal(fixture.tags()['1.27'], A);
    assert.equal(fixture.tags()['1.27.cccccccccccc'], C);
  });
});

async function flushed(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
}

describe('createEnsureBackup after a rollback that was interrupted after its hold', () => {
  /** The tag still holds B; the source is C. */
  const createInterrupted = async (keepsDigest: boolean): Promise<Fixture> => {
    const fixture = createFixture(keepsDigest);
    for (const digest of [A, B]) {
      fixture.cloner.put('nginx:1.27', digest);
      await fixture.review();
    }
    fixture.cloner.put('nginx:1.27', C);
    return fixture;
  };

  it('finishes an interrupted rollback at the next review that would move the tag', async () => {
    const { review, writeHold, tags } = await createInterrupted(true);
    writeHold(A);

    const outcome = await review();

    assert.equal(digestOf(outcome), A);
    assert.match(warningsOf(outcome).join(), /^nginx:1\.27 is held at sha256:aaaaaaaaaaaa;/);
    assert.equal(tags()['1.27'], A);
    assert.equal(tags()['1.27.bbbbbbbbbbbb'], B);
  });

  it('finishes an interrupted rollback with a daemon that pushes the same digest again', async () => {
    const { review, writeHold, tags } = await createInterrupted(false);
    const pushedA = A.replace(/:..../, ':f0f0');
    writeHold(pushedA);

    assert.equal(digestOf(await review()), pushedA);
    assert.equal(tags()['1.27'], pushedA);
  });

  it('warns that an interrupted rollback is not finished when the backup refuses it, and moves no tag', async () => {
    const { cloner, review, writeHold, tags } = await createInterrupted(true);
    writeHold(A);
    const pinned = `registry.example/acme/nginx@${A}`;
    cloner.fail(pinned, new CloneError('BACKUP_REFUSED', 'no'));

    const outcome = await review();

    assert.equal(digestOf(outcome), B);
    assert.deepEqual(warningsOf(outcome), [
      'a rollback of nginx:1.27 is not finished: "just rollback IMAGE sha256:aaaaaaaaaaaa" finishes it',
    ]);
    assert.equal(tags()['1.27'], B);
  });

  it('creates a missing plain tag at the digest of an interrupted rollback', async () => {
    const { cloner, review, tags } = await createInterrupted(true);
    cloner.remove('registry.example/acme/nginx');
    for (const tag of ['1.27.hold', '1.27.aaaaaaaaaaaa']) {
      cloner.put(`registry.example/acme/nginx:${tag}`, A);
    }

    assert.equal(digestOf(await review()), A);
    assert.equal(tags()['1.27'], A);
  });
});

describe('released', () => {
  it('a released hold has the digests of its manifest and config', () => {
    assert.equal(sha256(released.manifest), released.digest);
    assert.equal(sha256(released.config), released.configDigest);
    assert.ok(released.manifest.includes(`"digest":"${released.configDigest}","size":82`));
    assert.equal(released.config.length, 82);
  });
});

function sha256(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
