import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createEnsureBackup } from '../../lib/cloner/ensure-backup.ts';
import { createCopies } from '../../lib/cloner/queue/copies.ts';
import { CloneError } from '../../lib/errors.ts';
import { readHoldings } from '../../lib/generations/generations.ts';
import { planPrune, removeGeneration } from '../../lib/generations/prune.ts';
import { release, rollBack } from '../../lib/generations/rollback.ts';
import { generationTag } from '../../lib/image/tags.ts';
import {
  dropConnection,
  type Image,
  makeImage,
  makeIndex,
  seed,
} from '../../lib/memory-registry/index.ts';
import { type Bench, openBench, walk } from '../adapters/registry/bench.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { interruptionStep, propertyRuns } from '../support/property-runs.ts';

const { signal } = new AbortController();
const shared = makeImage({ seed: 'shared' });
/** Some share platforms, and one is a platform of another. */
const images: readonly Image[] = [
  makeImage({ seed: 'one' }),
  makeIndex([makeImage({ seed: 'two' }), shared]),
  makeIndex([makeImage({ seed: 'one' }), shared]),
  makeImage({ seed: 'four', layers: [10, 20, 30] }),
];
const keep = 2;
const path = 'acme/app';

type Step =
  | { readonly kind: 'publish'; readonly image: number }
  | { readonly kind: 'review' | 'release' | 'prune' }
  | { readonly kind: 'rollback'; readonly image: number };

interface Run {
  readonly bench: Bench;
  /** Milliseconds since 1970; each step is a minute later. */
  at: number;
  /** Every digest that a tag of the backup held, except pruned ones. */
  readonly kept: Set<string>;
}

/** mulberry32: the same numbers for the same seed. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Runs a step in a new process: no state outlives it. */
async function runStep({ bench, at }: Run, step: Step): Promise<void> {
  const tag = '1';
  const repository = await bench.repository(path);
  const context = {
    repository,
    backup: { domain: bench.backup.host, path, tag },
    adoptExisting: false,
    now: () => at,
    signal,
  };
  switch (step.kind) {
    case 'publish':
      seed(bench.source, 'app:1', images[step.image] ?? shared);
      return;
    case 'rollback':
      await rollBack(context, images[step.image]?.digest ?? '');
      return;
    case 'release':
      await release(context);
      return;
    case 'prune': {
      const rules = { keep, used: new Set<string>() };
      for (const old of await planPrune(
        repository,
        await readHoldings(repository, signal),
        rules,
        signal,
      )) {
        if (old.keptBecause === undefined) await removeGeneration(repository, old, rules, signal);
      }
      return;
    }
    case 'review': {
      const ensureBackup = createEnsureBackup({
        cloner: bench.cloner,
        copies: createCopies(),
        sourceCredentials: { credentialsFor: () => Promise.resolve([]) },
        backupCredentials: () => Promise.resolve(undefined),
        pinDigests: false,
        adoptExisting: false,
        clusterId: '',
        privateToPublic: 'deny',
        logger: createMemoryLog().logger,
        observer: { reviewed() {}, cloned() {}, backupAnswered() {} },
        now: () => performance.now(),
        wallClock: () => at,
        soon: () => undefined,
      });
      await ensureBackup({
        source: { domain: bench.source.host, path: 'app', tag },
        backup: { domain: bench.backup.host, path, tag },
        dryRun: false,
        budgetMs: 60_000,
        signal,
        uid: 'u',
      });
    }
  }
}

/** Runs a step whose requests to the backup all fail after the first `after`. */
async function interruptStep(run: Run, step: Step, after: number): Promise<boolean> {
  const { backup } = run.bench;
  let requests = 0;
  const fault = backup.faults.add(() => (requests += 1) > after, dropConnection());
  try {
    await runStep(run, step);
  } catch (error) {
    assert.ok(error instanceof CloneError, String(error));
  } finally {
    fault.end();
  }
  return fault.hits() > 0;
}

/** Reads the registry's store directly, without the code under test. */
function audit({ bench, kept }: Run, hadTag: boolean): void {
  const { store } = bench.backup;
  const tags = new Map(
    store.tags(path).map((tag) => [tag, store.manifest(path, tag)?.digest ?? '']),
  );
  for (const digest of tags.values()) walk(bench.backup, path, digest);
  for (const digest of kept) {
    assert.equal(
      tags.get(generationTag('1', digest)),
      digest,
      `${digest} has lost its generation tag`,
    );
  }
  if (hadTag) assert.ok(tags.has('1'), 'the tag is gone');
  const current = tags.get('1');
  if (current !== undefined) kept.add(current);
  for (const { digest } of images)
    if (tags.get(generationTag('1', digest)) === digest) kept.add(digest);
}

function formatSteps(steps: readonly Step[]): string {
  return steps
    .map((step) => ('image' in step ? `${step.kind} ${step.image}` : step.kind))
    .join(', ');
}

describe('generations after interrupted reviews, rollbacks, releases and prunes', () => {
  const benches: Bench[] = [];
  after(async () => {
    for (const bench of benches) await bench.close();
  });

  async function open(): Promise<Run> {
    const bench = await openBench();
    benches.push(bench);
    return { bench, at: Date.UTC(2026, 0, 1), kept: new Set() };
  }

  /** Drops the digests that prune removed; at least `keep` of them must be left. */
  function forgetPruned(run: Run): void {
    const before = run.kept.size;
    const { store } = run.bench.backup;
    for (const digest of run.kept) {
      if (store.manifest(path, generationTag('1', digest)) === undefined) run.kept.delete(digest);
    }
    assert.ok(run.kept.size >= Math.min(keep, before));
  }

  /** Each step is interrupted at each of its requests, and then runs to its end. */
  const scenario: readonly Step[] = [
    { kind: 'publish', image: 0 },
    { kind: 'review' },
    { kind: 'publish', image: 1 },
    { kind: 'review' },
    { kind: 'rollback', image: 0 },
    { kind: 'publish', image: 2 },
    { kind: 'review' },
    { kind: 'rollback', image: 1 },
    { kind: 'release' },
    { kind: 'review' },
    { kind: 'publish', image: 0 },
    { kind: 'review' },
    { kind: 'publish', image: 3 },
    { kind: 'review' },
    { kind: 'prune' },
  ];
  it('no generation is lost when a process ends at any of its requests', async () => {
    const run = await open();
    for (const step of scenario) {
      run.at += 60_000;
      const hadTag = run.bench.backup.store.tags(path).includes('1');
      if (step.kind !== 'publish') {
        for (let after = 0; await interruptStep(run, step, after); after += interruptionStep) {
          if (step.kind === 'prune') forgetPruned(run);
          audit(run, hadTag);
        }
      }
      await runStep(run, step);
      if (step.kind === 'prune') forgetPruned(run);
      audit(run, hadTag);
    }
    // The previous and the current digest.
    const newest = [images[0]?.digest ?? '', images[3]?.digest ?? ''];
    assert.deepEqual([...run.kept].toSorted(), newest.toSorted());
  });

  for (const seedNumber of [1, 2, 3, 4, 5]) {
    it(`no generation is lost in a random order of steps and interruptions (seed ${seedNumber})`, async () => {
      const run = await open();
      const random = createRandom(seedNumber);
      const kinds = ['publish', 'review', 'review', 'rollback', 'release', 'prune'] as const;
      const steps: Step[] = [];
      for (let count = 0; count < 60; count += 1) {
        const kind = kinds[random(kinds.length)] ?? 'review';
        const step: Step =
          kind === 'publish' || kind === 'rollback'
            ? { kind, image: random(images.length) }
            : { kind };
        steps.push(step);
        run.at += 60_000;
        const { store } = run.bench.backup;
        const hadTag = store.tags(path).includes('1');
        const current = store.manifest(path, '1')?.digest;
        if (random(2) === 0) await interruptStep(run, step, random(25));
        else
          await runStep(run, step).catch((error: unknown) =>
            assert.ok(error instanceof CloneError),
          );
        if (step.kind === 'prune') {
          assert.equal(store.manifest(path, '1')?.digest, current, formatSteps(steps));
          forgetPruned(run);
        }
        try {
          audit(run, hadTag);
        } catch (error) {
          throw new Error(`after ${formatSteps(steps)}`, { cause: error });
        }
      }
    });
  }

  for (const seedNumber of [11, 12, 13, 14]) {
    it(`a tag stays held when a rollback and a review run at the same time (seed ${seedNumber})`, async () => {
      const random = createRandom(seedNumber);
      for (let round = 0; round < propertyRuns(6).numRuns; round += 1) {
        const run = await open();
        for (const image of [0, 1]) {
          await runStep(run, { kind: 'publish', image });
          await runStep(run, { kind: 'review' });
        }
        await runStep(run, { kind: 'publish', image: 3 });
        // The review is a few requests ahead.
        const ahead = random(20);
        let requests = 0;
        const isAhead = Promise.withResolvers<undefined>();
        const { backup } = run.bench;
        const counting = backup.faults.add(
          () => true,
          async (exchange, next) => {
            requests += 1;
            if (requests >= ahead) isAhead.resolve(undefined);
            return await next(exchange);
          },
        );
        const review = runStep(run, { kind: 'review' }).then(() => isAhead.resolve(undefined));
        await isAhead.promise;
        const rollback = runStep(run, { kind: 'rollback', image: 0 });
        const results = await Promise.allSettled([review, rollback]);
        counting.end();
        assert.equal(results[0]?.status, 'fulfilled');

        await runStep(run, { kind: 'review' });
        assert.equal(backup.store.manifest(path, '1')?.digest, images[0]?.digest, `${ahead} ahead`);
        audit(run, true);
      }
    });
  }
});
