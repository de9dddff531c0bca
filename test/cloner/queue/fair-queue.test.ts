import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  createFairQueue,
  type FairQueue,
  type QueuedTask,
} from '../../../lib/cloner/queue/fair-queue.ts';
import { CloneError } from '../../../lib/index.ts';
import { drainMicrotasks } from '../../support/drain-microtasks.ts';
import { propertyRuns } from '../../support/property-runs.ts';

interface Fixture {
  readonly queue: FairQueue;
  /** Names of tasks in the order in which they began. */
  readonly begun: readonly string[];
  join(namespace: string, name: string, target?: string): QueuedTask<string>;
  at(ms: number): void;
  /** Ends a running task. @default the oldest */
  end(name?: string): Promise<void>;
}

function createFixture({ maxRunning = 1, maxWaiting = 1_000 } = {}): Fixture {
  let time = 0;
  const queue = createFairQueue({ maxRunning, maxWaiting, now: () => time });
  const begun: string[] = [];
  const running = new Map<string, (name: string) => void>();
  return {
    queue,
    begun,
    at(ms) {
      time = ms;
    },
    join(namespace, name, target = name) {
      const task = queue.join({ target, namespace }, async (signal) => {
        begun.push(name);
        const { promise, resolve, reject } = Promise.withResolvers<string>();
        running.set(name, resolve);
        signal.addEventListener('abort', () => {
          running.delete(name);
          reject(signal.reason);
        });
        return await promise;
      });
      task.done.catch(() => undefined);
      return task;
    },
    async end(name) {
      await drainMicrotasks();
      const [oldest] = running.keys();
      const ended = name ?? oldest ?? '';
      running.get(ended)?.(ended);
      running.delete(ended);
      await drainMicrotasks();
    },
  };
}

describe('createFairQueue', () => {
  it('alternates tasks between namespaces, however many each has queued', async () => {
    const { begun, join, end } = createFixture();
    for (const name of ['a1', 'a2', 'a3', 'a4']) join('a', name);
    for (const name of ['b1', 'b2']) join('b', name);
    join('c', 'c1');

    for (let count = 0; count < 7; count += 1) await end();

    assert.deepEqual(begun, ['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4']);
  });

  it('alternates tasks between namespaces that wait for one target', async () => {
    const { begun, join, end } = createFixture({ maxRunning: 4 });
    for (const name of ['a1', 'a2', 'a3', 'a4']) join('a', name, 'nginx:1.27');
    const wanted = join('b', 'b1', 'nginx:1.27');
    await drainMicrotasks();

    assert.equal(wanted.ahead(), 0);
    for (let count = 0; count < 5; count += 1) await end();

    assert.deepEqual(begun, ['a1', 'b1', 'a2', 'a3', 'a4']);
  });

  it('reports how many tasks begin before a queued task', async () => {
    const { join, end } = createFixture();
    join('a', 'a1');
    const [a2, a3, b1] = [join('a', 'a2'), join('a', 'a3'), join('b', 'b1')];
    await drainMicrotasks();

    assert.deepEqual([a2.ahead(), a3.ahead(), b1.ahead()], [1, 2, 0]);
    await end();
    assert.deepEqual([a2.ahead(), a3.ahead(), b1.ahead()], [0, 1, undefined]);
  });

  it('runs a task that two namespaces wait for in the earliest slot of either', async () => {
    const { begun, join, end } = createFixture();
    for (const name of ['a1', 'a2', 'a3']) join('a', name);
    const shared = join('a', 'shared');
    assert.equal(shared.ahead(), 2);

    shared.share('b');

    assert.equal(shared.ahead(), 0);
    for (let count = 0; count < 3; count += 1) await end();
    assert.deepEqual(begun, ['a1', 'shared', 'a2', 'a3']);
  });

  it('runs one task of a target at a time, in order of arrival, while tasks of other targets overtake', async () => {
    const { begun, join, end } = createFixture({ maxRunning: 3 });
    join('a', 'first', 't');
    join('a', 'second', 't');
    join('a', 'third', 't');
    join('a', 'other');
    await drainMicrotasks();
    assert.deepEqual(begun, ['first', 'other']);

    await end('other');
    assert.deepEqual(begun, ['first', 'other']);
    await end('first');

    assert.deepEqual(begun, ['first', 'other', 'second']);
  });

  it('preempts a task after two minutes when a namespace without a slot waits', async () => {
    const { begun, join, at, end } = createFixture();
    const endless = join('a', 'a1');
    join('a', 'a2');
    await drainMicrotasks();
    at(119_999);
    const other = join('b', 'b1');
    await drainMicrotasks();
    assert.deepEqual(begun, ['a1']);

    at(120_000);
    other.share('b');

    await drainMicrotasks();
    assert.deepEqual(begun, ['a1', 'b1']);
    assert.equal(endless.ahead(), 1);
    await end('b1');
    await end('a2');
    assert.deepEqual(begun, ['a1', 'b1', 'a2', 'a1']);
    await end('a1');
    assert.equal(await endless.done, 'a1');
  });

  it('doubles the slot time of a task that was preempted', async () => {
    const { begun, join, at, end } = createFixture();
    const endless = join('a', 'a1');
    await drainMicrotasks();
    at(120_000);
    join('b', 'b1');
    await drainMicrotasks();
    await end('b1');
    const waiting = join('b', 'b2');

    at(359_999);
    waiting.share('b');
    await drainMicrotasks();
    assert.deepEqual(begun, ['a1', 'b1', 'a1']);
    at(360_000);
    waiting.share('b');

    await drainMicrotasks();
    assert.deepEqual(begun, ['a1', 'b1', 'a1', 'b2']);
    assert.equal(endless.ahead(), 0);
  });

  it('limits the slot time of a task to one hour, however often it was preempted', async () => {
    const { begun, join, at, end } = createFixture();
    join('a', 'endless');
    await drainMicrotasks();
    let time = 0;
    for (const [round, minutes] of [2, 4, 8, 16, 32, 60, 60].entries()) {
      const name = `b${round}`;
      const waiting = join('b', name);
      at(time + minutes * 60_000 - 1);
      waiting.share('b');
      await drainMicrotasks();
      assert.equal(begun.at(-1), 'endless', `after ${minutes} minutes but one millisecond`);
      time += minutes * 60_000;
      at(time);
      waiting.share('b');
      await drainMicrotasks();
      assert.equal(begun.at(-1), name, `after ${minutes} minutes`);
      await end(name);
    }
  });

  it('preempts one task at a time: the oldest of the namespace with the most slots', async () => {
    const { begun, join, at, end } = createFixture({ maxRunning: 3 });
    join('b', 'b1');
    await drainMicrotasks();
    at(1);
    join('a', 'a1');
    await drainMicrotasks();
    at(2);
    join('a', 'a2');
    await drainMicrotasks();
    at(200_000);

    join('c', 'c1');
    join('d', 'd1');

    await drainMicrotasks();
    assert.deepEqual(begun, ['b1', 'a1', 'a2', 'c1', 'd1']);
    await end('d1');
    assert.deepEqual(begun.slice(5), ['b1']);
  });

  it('preempts no task for a namespace that has a slot, or whose own target is busy', async () => {
    const { begun, join, at } = createFixture({ maxRunning: 2 });
    join('a', 'a1');
    join('b', 'b1');
    await drainMicrotasks();
    at(1_000_000);

    join('b', 'b2');
    join('c', 'c1', 'a1');

    await drainMicrotasks();
    assert.deepEqual(begun, ['a1', 'b1']);
  });

  it('does not restart a preempted task once the queue is closed', async () => {
    const { join, queue, at } = createFixture();
    const endless = join('a', 'a1');
    await drainMicrotasks();
    at(120_000);
    const reason = new CloneError('INTERRUPTED', 'image-cloner is shutting down');
    join('b', 'b1');

    queue.close(reason);

    await assert.rejects(endless.done, reason);
    assert.deepEqual(queue.counts(), { running: 0, waiting: 0 });
  });

  const full = (namespace: string, size: number): object => ({
    name: 'CloneError',
    code: 'LINE_FULL',
    message: `the copy queue is full: 3 copies wait (MAX_WAITING), ${size} of them for namespace ${namespace}`,
    retryAfterMs: 10_000,
  });

  it('rejects a task of the namespace with the most tasks when the queue is full', async () => {
    const { join, queue } = createFixture({ maxWaiting: 3 });
    for (const name of ['a0', 'a1', 'a2', 'a3']) join('a', name);

    assert.throws(() => join('a', 'a4'), full('a', 3));
    assert.deepEqual(queue.counts(), { running: 1, waiting: 3 });
  });

  it('evicts the newest task of the namespace with the most tasks when the queue is full', async () => {
    const { begun, join, queue, end } = createFixture({ maxWaiting: 3 });
    const [, , , newest] = ['a0', 'a1', 'a2', 'a3'].map((name) => join('a', name));
    await drainMicrotasks();

    join('b', 'b1');

    await assert.rejects(newest?.done ?? assert.fail(), full('a', 3));
    assert.deepEqual(queue.counts(), { running: 1, waiting: 3 });
    // Both have their share now, so neither evicts a task of the other.
    assert.throws(() => join('b', 'b2'), full('b', 1));
    for (let count = 0; count < 4; count += 1) await end();
    assert.deepEqual(begun, ['a0', 'b1', 'a1', 'a2']);
  });

  it('does not evict a task that several namespaces wait for', async () => {
    const { join } = createFixture({ maxWaiting: 2 });
    join('a', 'a0');
    const [alone, shared] = [join('a', 'a1'), join('a', 'a2')];
    shared.share('b');

    join('c', 'c1');

    await assert.rejects(alone.done, { code: 'LINE_FULL' });
    assert.equal(shared.ahead(), 0);
  });

  it('accepts a task that can begin at once when the queue is full', async () => {
    const { begun, join } = createFixture({ maxRunning: 3, maxWaiting: 1 });
    join('a', 'first', 't');
    join('a', 'second', 't');

    join('a', 'other');

    await drainMicrotasks();
    assert.deepEqual(begun, ['first', 'other']);
  });

  it('rejects queued and new tasks after the queue is closed and lets running tasks end', async () => {
    const { join, queue, end } = createFixture();
    const reason = new CloneError('INTERRUPTED', 'image-cloner is shutting down');
    const [running, waiting] = [join('a', 'a1'), join('a', 'a2')];
    await drainMicrotasks();

    queue.close(reason);

    await assert.rejects(waiting.done, reason);
    assert.throws(() => join('a', 'a3'), reason);
    await end();
    assert.equal(await running.done, 'a1');
    assert.deepEqual(queue.counts(), { running: 0, waiting: 0 });
  });

  it('runs the next task of a target after a task has failed', async () => {
    const { join, queue, begun } = createFixture();
    const failing = queue.join({ target: 't', namespace: 'a' }, () =>
      Promise.reject(new Error('no')),
    );
    join('a', 'a1', 't');

    await assert.rejects(failing.done, { message: 'no' });

    await drainMicrotasks();
    assert.deepEqual(begun, ['a1']);
  });

  const arrivals = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 60 });

  it('lets a namespace wait for at most one slot of each other namespace', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, async (namespaces) => {
        const { begun, join, end } = createFixture();
        for (const [index, namespace] of namespaces.entries())
          join(namespace, `${namespace}${index}`);
        await drainMicrotasks();
        for (const _ of namespaces) await end();

        const order = begun.map((name) => name.slice(0, 1));
        assert.equal(order.length, namespaces.length);
        // The first began at once, without waiting.
        const queued = order.slice(1);
        for (const waiting of new Set(queued)) {
          const own = queued.flatMap((name, index) => (name === waiting ? [index] : []));
          for (const [nth, index] of own.entries()) {
            const since = nth === 0 ? -1 : (own[nth - 1] ?? 0);
            const others = queued.slice(since + 1, index);
            assert.equal(new Set(others).size, others.length, `${waiting} in ${queued.join('')}`);
          }
        }
      }),
      propertyRuns(50),
    );
  });

  it('keeps the last slot from a namespace while other namespaces made requests within a day', async () => {
    const { begun, join, end } = createFixture({ maxRunning: 3 });
    join('shop', 'shop1');
    await end();
    for (const name of ['a1', 'a2', 'a3', 'a4']) join('a', name);
    await drainMicrotasks();
    assert.deepEqual(begun, ['shop1', 'a1', 'a2']);

    join('shop', 'shop2');

    await drainMicrotasks();
    assert.deepEqual(begun, ['shop1', 'a1', 'a2', 'shop2']);
    await end('shop2');
    assert.deepEqual(begun, ['shop1', 'a1', 'a2', 'shop2']);
    await end('a1');
    assert.deepEqual(begun, ['shop1', 'a1', 'a2', 'shop2', 'a3']);
  });

  it('keeps the last slot from a namespace on the first day after a start', async () => {
    const { begun, join, at, end } = createFixture({ maxRunning: 3 });
    for (const name of ['a1', 'a2', 'a3', 'a4']) join('a', name);
    await drainMicrotasks();
    assert.deepEqual(begun, ['a1', 'a2']);

    join('shop', 'shop1');
    await drainMicrotasks();
    assert.deepEqual(begun, ['a1', 'a2', 'shop1']);

    await end('shop1');
    at(86_400_000);
    join('a', 'a5');
    await drainMicrotasks();
    assert.deepEqual(begun, ['a1', 'a2', 'shop1', 'a3']);
  });

  it('gives all slots to copies without a namespace', async () => {
    const { begun, join } = createFixture({ maxRunning: 3 });

    for (const name of ['1', '2', '3', '4']) join('', name);

    await drainMicrotasks();
    assert.deepEqual(begun, ['1', '2', '3']);
  });

  it('gives all slots to one namespace when no other made a request for a day', async () => {
    const { begun, join, end, at } = createFixture({ maxRunning: 3 });
    join('shop', 'shop1');
    await end();
    at(86_400_000);

    for (const name of ['a1', 'a2', 'a3', 'a4']) join('a', name);

    await drainMicrotasks();
    assert.deepEqual(begun, ['shop1', 'a1', 'a2', 'a3']);
  });

  it('starts a task that is kept from the last slot when another namespace waits for it, too', async () => {
    const { begun, join, end } = createFixture({ maxRunning: 2 });
    join('shop', 'shop1');
    await end();
    join('a', 'a1');
    const held = join('a', 'a2');
    await drainMicrotasks();
    assert.equal(held.ahead(), 0);

    held.share('shop');

    await drainMicrotasks();
    assert.deepEqual(begun, ['shop1', 'a1', 'a2']);
  });

  it('runs every queued task, however many slots there are', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, fc.integer({ min: 1, max: 4 }), async (namespaces, maxRunning) => {
        const { begun, join, end, queue } = createFixture({ maxRunning });
        for (const [index, namespace] of namespaces.entries()) {
          join(namespace, `${namespace}${index}`);
          assert(queue.counts().running <= maxRunning);
        }
        for (const _ of namespaces) await end();

        assert.equal(begun.length, namespaces.length);
        assert.deepEqual(queue.counts(), { running: 0, waiting: 0 });
      }),
      propertyRuns(50),
    );
  });

  it('predicts every place in the queue exactly while no task arrives or overtakes', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, async (namespaces) => {
        const { begun, join, end } = createFixture();
        const tasks = namespaces.map((namespace, index) => join(namespace, `${namespace}${index}`));
        const predicted = tasks.map((task) => (task.ahead() ?? -1) + 1);
        await drainMicrotasks();
        for (const _ of namespaces) await end();

        const places = namespaces.map((name, index) => begun.indexOf(`${name}${index}`));
        assert.deepEqual(predicted, places);
      }),
      propertyRuns(50),
    );
  });

  it('gives every namespace its share of a full queue in any order of arrival', async () => {
    fc.assert(
      fc.property(arrivals, (namespaces) => {
        const { join } = createFixture({ maxWaiting: 8 });
        const accepted: { namespace: string; task: QueuedTask<string> }[] = [];
        join('z', 'z');
        for (const [index, namespace] of namespaces.entries()) {
          try {
            accepted.push({ namespace, task: join(namespace, `${namespace}${index}`) });
          } catch {
            // The namespace had its share.
          }
        }
        const wanted = Map.groupBy(namespaces, (namespace) => namespace);
        const held = Map.groupBy(
          accepted.filter(({ task }) => task.ahead() !== undefined),
          ({ namespace }) => namespace,
        );
        const most = Math.max(...[...held.values()].map(({ length }) => length));
        for (const [namespace, { length }] of wanted) {
          const got = held.get(namespace)?.length ?? 0;
          assert(got === length || got >= most - 1, `${namespace} has ${got} beside ${most}`);
        }
      }),
    );
  });
});
