import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as flushed } from 'node:timers/promises';
import { createEventRecorder } from '../../lib/events/index.ts';
import type { EventResult, KubernetesEvent } from '../../lib/ports/index.ts';
import { createMemoryLog, type MemoryLog } from '../support/memory-log.ts';

const telling = {
  namespace: 'shop',
  object: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: 'u1' },
  type: 'Warning',
  reason: 'Refused',
  message: 'no such image',
} as const;

interface Stage extends MemoryLog {
  readonly record: (change?: {
    readonly message?: string;
    readonly namespace?: string;
  }) => Promise<void>;
  /** `create COUNT` or `repeat COUNT` */
  readonly calls: readonly string[];
  readonly created: readonly KubernetesEvent[];
  readonly results: readonly string[];
  /** Of the clock, and of the API server. */
  readonly world: { at: number; answer: EventResult };
}

function setUp(): Stage {
  const world: Stage['world'] = { at: 0, answer: 'written' };
  const { logger, lines } = createMemoryLog();
  const calls: string[] = [];
  const created: KubernetesEvent[] = [];
  const results: string[] = [];
  const recorder = createEventRecorder({
    open: async () => ({
      create: async (event) => {
        calls.push(`create ${event.count}`);
        created.push(event);
        return world.answer;
      },
      repeat: async ({ count }) => {
        calls.push(`repeat ${count}`);
        return world.answer;
      },
    }),
    now: () => world.at,
    wallClock: () => 1_800_000_000_000 + world.at,
    logger,
    onResult: (result) => results.push(result),
  });
  return {
    logger,
    lines,
    calls,
    created,
    results,
    world,
    async record(change = {}) {
      recorder.record({ ...telling, ...change });
      // The queue is drained in a few microtasks.
      await flushed();
    },
  };
}

describe('createEventRecorder', () => {
  it('creates an Event with a name of its own', async () => {
    const { record, created } = setUp();

    await record();

    assert.deepEqual(created, [
      {
        ...telling,
        name: `web.${(1_800_000_000_000).toString(16)}1`,
        count: 1,
        firstAt: 1_800_000_000_000,
        lastAt: 1_800_000_000_000,
      },
    ]);
  });

  it('counts an Event that is repeated within ten minutes', async () => {
    const stage = setUp();
    await stage.record();
    stage.world.at = 599_000;
    await stage.record();
    stage.world.at = 1_198_000;
    await stage.record();
    stage.world.at = 1_900_000;
    await stage.record();

    assert.deepEqual(stage.calls, ['create 1', 'repeat 2', 'repeat 3', 'create 1']);
  });

  it('creates an Event again that has expired in the cluster', async () => {
    const stage = setUp();
    await stage.record();
    stage.world.answer = 'absent';

    await stage.record();

    assert.deepEqual(stage.calls, ['create 1', 'repeat 2', 'create 1']);
  });

  it('drops the Events of a namespace that has more than its share, and of no other', async () => {
    const { record, calls, results } = setUp();
    for (let n = 0; n < 40; n += 1) await record({ message: `refused ${n}` });

    await record({ namespace: 'quiet' });

    assert.equal(calls.length, 26);
    assert.equal(results.filter((result) => result === 'dropped').length, 15);
    assert.equal(results.at(-1), 'written');
  });

  it('warns once about a missing right, and tries that namespace again after ten minutes', async () => {
    const stage = setUp();
    stage.world.answer = 'forbidden';
    await stage.record();
    await stage.record({ message: 'another' });
    stage.world.at = 600_000;
    await stage.record({ message: 'later' });

    assert.equal(stage.calls.length, 2);
    assert.deepEqual(
      stage.lines.map(({ level }) => level),
      ['warn'],
    );
    assert.match(stage.lines[0]?.message ?? '', /no right to create Events: .* EVENTS=false/);
  });

  it('pauses for a minute while the API server does not answer', async () => {
    const stage = setUp();
    stage.world.answer = 'failed';
    await stage.record();
    await stage.record({ message: 'another' });
    stage.world.at = 60_000;
    await stage.record({ message: 'later' });

    assert.equal(stage.calls.length, 2);
    assert.deepEqual(stage.results, ['failed', 'dropped', 'failed']);
  });

  it('cuts a message to 1024 bytes and escapes it', async () => {
    const { record, created } = setUp();

    await record({ message: `\u001b[31m${'é'.repeat(1_000)}` });

    const message = created[0]?.message ?? '';
    assert.ok(new TextEncoder().encode(message).length <= 1_024);
    assert.match(message, /é…$/);
    // oxlint-disable-next-line no-control-regex -- the test searches for them
    assert.doesNotMatch(message, /\u001b/);
  });
});
