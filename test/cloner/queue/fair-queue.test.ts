import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  createFairQueue,
  type FairQueue,
  type QueuedTask,
} from '../../../lib/cloner/queue/fair-queue.ts';
import { CloneError } from '../../../lib/index.ts';

interface Stage {
  readonly line: FairQueue;
  /** Names of tasks in the order in which they began. */
  readonly begun: readonly string[];
  join(namespace: string, name: string, target?: string): QueuedTask<string>;
  at(ms: number): void;
  /** Ends the oldest task that runs. */
  end(name?: string): Promise<void>;
}

function stage({ maxRunning = 1, maxWaiting = 1_000 } = {}): Stage {
  let time = 0;
  const line = createFairQueue({ maxRunning, maxWaiting, now: () => time });
  const begun: string[] = [];
  const running = new Map<string, (name: string) => void>();
  return {
    line,
    begun,
    at(ms) {
      time = ms;
    },
    join(namespace, name, target = name) {
      const ticket = line.join({ target, namespace }, async (signal) => {
        begun.push(name);
        const { promise, resolve, reject } = Promise.withResolvers<string>();
        running.set(name, resolve);
        signal.addEventListener('abort', () => {
          running.delete(name);
          reject(signal.reason);
        });
        return await promise;
      });
      ticket.done.catch(() => undefined);
      return ticket;
    },
    async end(name) {
      await settle();
      const [oldest] = running.keys();
      const ended = name ?? oldest ?? '';
      running.get(ended)?.(ended);
      running.delete(ended);
      await settle();
    },
  };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
}

describe('createFairQueue', () => {
  it('lets namespaces take turns, whatever they have waiting', async () => {
    const { begun, join, end } = stage();
    for (const name of ['a1', 'a2', 'a3', 'a4']) join('a', name);
    for (const name of ['b1', 'b2']) join('b', name);
    join('c', 'c1');

    for (let turn = 0; turn < 7; turn += 1) await end();

    assert.deepEqual(begun, ['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4']);
  });

  it('lets namespaces take turns at one target, too', async () => {
    const { begun, join, end } = stage({ maxRunning: 4 });
    for (const name of ['a1', 'a2', 'a3', 'a4']) join('a', name, 'nginx:1.27');
    const wanted = join('b', 'b1', 'nginx:1.27');
    await settle();

    assert.equal(wanted.ahead(), 0);
    for (let turn = 0; turn < 5; turn += 1) await end();

    assert.deepEqual(begun, ['a1', 'b1', 'a2', 'a3', 'a4']);
  });

  it('says how many begin before one', async () => {
    const { join, end } = stage();
    join('a', 'a1');
    const [a2, a3, b1] = [join('a', 'a2'), join('a', 'a3'), join('b', 'b1')];
    await settle();

    assert.deepEqual([a2.ahead(), a3.ahead(), b1.ahead()], [1, 2, 0]);
    await end();
    assert.deepEqual([a2.ahead(), a3.ahead(), b1.ahead()], [0, 1, undefined]);
  });

  it('takes what two namespaces wait for at the turn of the first of them', async () => {
    const { begun, join, end } = stage();
    for (const name of ['a1', 'a2', 'a3']) join('a', name);
    const shared = join('a', 'shared');
    assert.equal(shared.ahead(), 2);

    shared.share('b');

    assert.equal(shared.ahead(), 0);
    for (let turn = 0; turn < 3; turn += 1) await end();
    assert.deepEqual(begun, ['a1', 'shared', 'a2', 'a3']);
  });

  it('runs one at a time of each target, in their order, and lets others pass meanwhile', async () => {
    const { begun, join, end } = stage({ maxRunning: 3 });
    join('a', 'first', 't');
    join('a', 'second', 't');
    join('a', 'third', 't');
    join('a', 'other');
    await settle();
    assert.deepEqual(begun, ['first', 'other']);

    await end('other');
    assert.deepEqual(begun, ['first', 'other']);
    await end('first');

    assert.deepEqual(begun, ['first', 'other', 'second']);
  });

  it('puts back in line what has lasted for two minutes, for a namespace that has no turn', async () => {
    const { begun, join, at, end } = stage();
    const endless = join('a', 'a1');
    join('a', 'a2');
    await settle();
    at(119_999);
    const other = join('b', 'b1');
    await settle();
    assert.deepEqual(begun, ['a1']);

    at(120_000);
    other.share('b');

    await settle();
    assert.deepEqual(begun, ['a1', 'b1']);
    assert.equal(endless.ahead(), 1);
    await end('b1');
    await end('a2');
    assert.deepEqual(begun, ['a1', 'b1', 'a2', 'a1']);
    await end('a1');
    assert.equal(await endless.done, 'a1');
  });

  it('gives what was put back twice the time, so that it is done some day', async () => {
    const { begun, join, at, end } = stage();
    const endless = join('a', 'a1');
    await settle();
    at(120_000);
    join('b', 'b1');
    await settle();
    await end('b1');
    const waiting = join('b', 'b2');

    at(359_999);
    waiting.share('b');
    await settle();
    assert.deepEqual(begun, ['a1', 'b1', 'a1']);
    at(360_000);
    waiting.share('b');

    await settle();
    assert.deepEqual(begun, ['a1', 'b1', 'a1', 'b2']);
    assert.equal(endless.ahead(), 0);
  });

  it('gives nobody more than an hour, however often it was put back', async () => {
    const { begun, join, at, end } = stage();
    join('a', 'endless');
    await settle();
    let time = 0;
    for (const [round, minutes] of [2, 4, 8, 16, 32, 60, 60].entries()) {
      const name = `b${round}`;
      const waiting = join('b', name);
      at(time + minutes * 60_000 - 1);
      waiting.share('b');
      await settle();
      assert.equal(begun.at(-1), 'endless', `after ${minutes} minutes but one millisecond`);
      time += minutes * 60_000;
      at(time);
      waiting.share('b');
      await settle();
      assert.equal(begun.at(-1), name, `after ${minutes} minutes`);
      await end(name);
    }
  });

  it('puts back one at a time, of the namespace that has the most, and the oldest of them', async () => {
    const { begun, join, at, end } = stage({ maxRunning: 3 });
    join('b', 'b1');
    await settle();
    at(1);
    join('a', 'a1');
    await settle();
    at(2);
    join('a', 'a2');
    await settle();
    at(200_000);

    join('c', 'c1');
    join('d', 'd1');

    await settle();
    assert.deepEqual(begun, ['b1', 'a1', 'a2', 'c1', 'd1']);
    await end('d1');
    assert.deepEqual(begun.slice(5), ['b1']);
  });

  it('puts nothing back for a namespace that has a turn, nor for what waits for its own target', async () => {
    const { begun, join, at } = stage({ maxRunning: 2 });
    join('a', 'a1');
    join('b', 'b1');
    await settle();
    at(1_000_000);

    join('b', 'b2');
    join('c', 'c1', 'a1');

    await settle();
    assert.deepEqual(begun, ['a1', 'b1']);
  });

  it('begins nothing anew once it is closed', async () => {
    const { join, line, at } = stage();
    const endless = join('a', 'a1');
    await settle();
    at(120_000);
    const reason = new CloneError('INTERRUPTED', 'image-cloner is shutting down');
    join('b', 'b1');

    line.close(reason);

    await assert.rejects(endless.done, reason);
    assert.deepEqual(line.counts(), { running: 0, waiting: 0 });
  });

  const full = (namespace: string, size: number): object => ({
    name: 'CloneError',
    code: 'LINE_FULL',
    message: `the copy queue is full: 3 copies wait (MAX_WAITING), ${size} of them for namespace ${namespace}`,
    retryAfterMs: 10_000,
  });

  it('tells whoever has the most that the line is full', async () => {
    const { join, line } = stage({ maxWaiting: 3 });
    for (const name of ['a0', 'a1', 'a2', 'a3']) join('a', name);

    assert.throws(() => join('a', 'a4'), full('a', 3));
    assert.deepEqual(line.counts(), { running: 1, waiting: 3 });
  });

  it('has the longest namespace make room for one that has less', async () => {
    const { begun, join, line, end } = stage({ maxWaiting: 3 });
    const [, , , youngest] = ['a0', 'a1', 'a2', 'a3'].map((name) => join('a', name));
    await settle();

    join('b', 'b1');

    await assert.rejects(youngest?.done ?? assert.fail(), full('a', 3));
    assert.deepEqual(line.counts(), { running: 1, waiting: 3 });
    // Both have their share now, and nobody loses it to the other.
    assert.throws(() => join('b', 'b2'), full('b', 1));
    for (let turn = 0; turn < 4; turn += 1) await end();
    assert.deepEqual(begun, ['a0', 'b1', 'a1', 'a2']);
  });

  it('sends nobody away whom others wait with', async () => {
    const { join } = stage({ maxWaiting: 2 });
    join('a', 'a0');
    const [alone, shared] = [join('a', 'a1'), join('a', 'a2')];
    shared.share('b');

    join('c', 'c1');

    await assert.rejects(alone.done, { code: 'LINE_FULL' });
    assert.equal(shared.ahead(), 0);
  });

  it('takes who can begin at once also where the line is full', async () => {
    const { begun, join } = stage({ maxRunning: 3, maxWaiting: 1 });
    join('a', 'first', 't');
    join('a', 'second', 't');

    join('a', 'other');

    await settle();
    assert.deepEqual(begun, ['first', 'other']);
  });

  it('closed, sends away who waits and who comes, and lets those end that run', async () => {
    const { join, line, end } = stage();
    const reason = new CloneError('INTERRUPTED', 'image-cloner is shutting down');
    const [running, waiting] = [join('a', 'a1'), join('a', 'a2')];
    await settle();

    line.close(reason);

    await assert.rejects(waiting.done, reason);
    assert.throws(() => join('a', 'a3'), reason);
    await end();
    assert.equal(await running.done, 'a1');
    assert.deepEqual(line.counts(), { running: 0, waiting: 0 });
  });

  it('goes on after a task that fails', async () => {
    const { join, line, begun } = stage();
    const failing = line.join({ target: 't', namespace: 'a' }, () =>
      Promise.reject(new Error('no')),
    );
    join('a', 'a1', 't');

    await assert.rejects(failing.done, { message: 'no' });

    await settle();
    assert.deepEqual(begun, ['a1']);
  });

  const arrivals = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 60 });

  it('lets no namespace wait for more than one turn of each other one', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, async (namespaces) => {
        const { begun, join, end } = stage();
        for (const [index, namespace] of namespaces.entries())
          join(namespace, `${namespace}${index}`);
        await settle();
        for (const _ of namespaces) await end();

        const order = begun.map((name) => name.slice(0, 1));
        assert.equal(order.length, namespaces.length);
        // The first began at once and took no turn.
        const turns = order.slice(1);
        for (const waiting of new Set(turns)) {
          const own = turns.flatMap((name, index) => (name === waiting ? [index] : []));
          for (const [nth, index] of own.entries()) {
            const since = nth === 0 ? -1 : (own[nth - 1] ?? 0);
            const others = turns.slice(since + 1, index);
            assert.equal(new Set(others).size, others.length, `${waiting} in ${turns.join('')}`);
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  it('does not let a namespace take the last turn where others have asked', async () => {
    const { begun, join, end } = stage({ maxRunning: 3 });
    join('shop', 'shop1');
    await end();
    for (const name of ['a1', 'a2', 'a3', 'a4']) join('a', name);
    await settle();
    assert.deepEqual(begun, ['shop1', 'a1', 'a2']);

    join('shop', 'shop2');

    await settle();
    assert.deepEqual(begun, ['shop1', 'a1', 'a2', 'shop2']);
    await end('shop2');
    assert.deepEqual(begun, ['shop1', 'a1', 'a2', 'shop2']);
    await end('a1');
    assert.deepEqual(begun, ['shop1', 'a1', 'a2', 'shop2', 'a3']);
  });

  it('does not let a namespace take the last turn in the first day: others may have asked before', async () => {
    const { begun, join, at, end } = stage({ maxRunning: 3 });
    for (const name of ['a1', 'a2', 'a3', 'a4']) join('a', name);
    await settle();
    assert.deepEqual(begun, ['a1', 'a2']);

    join('shop', 'shop1');
    await settle();
    assert.deepEqual(begun, ['a1', 'a2', 'shop1']);

    await end('shop1');
    at(86_400_000);
    join('a', 'a5');
    await settle();
    assert.deepEqual(begun, ['a1', 'a2', 'shop1', 'a3']);
  });

  it('lets who copies by hand have all turns', async () => {
    const { begun, join } = stage({ maxRunning: 3 });

    for (const name of ['1', '2', '3', '4']) join('', name);

    await settle();
    assert.deepEqual(begun, ['1', '2', '3']);
  });

  it('lets a namespace have all turns where nobody else has asked for a day', async () => {
    const { begun, join, end, at } = stage({ maxRunning: 3 });
    join('shop', 'shop1');
    await end();
    at(86_400_000);

    for (const name of ['a1', 'a2', 'a3', 'a4']) join('a', name);

    await settle();
    assert.deepEqual(begun, ['shop1', 'a1', 'a2', 'a3']);
  });

  it('begins what was held back when another namespace waits for it, too', async () => {
    const { begun, join, end } = stage({ maxRunning: 2 });
    join('shop', 'shop1');
    await end();
    join('a', 'a1');
    const held = join('a', 'a2');
    await settle();
    assert.equal(held.ahead(), 0);

    held.share('shop');

    await settle();
    assert.deepEqual(begun, ['shop1', 'a1', 'a2']);
  });

  it('forgets nobody, however many run at once', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, fc.integer({ min: 1, max: 4 }), async (namespaces, maxRunning) => {
        const { begun, join, end, line } = stage({ maxRunning });
        for (const [index, namespace] of namespaces.entries()) {
          join(namespace, `${namespace}${index}`);
          assert(line.counts().running <= maxRunning);
        }
        for (const _ of namespaces) await end();

        assert.equal(begun.length, namespaces.length);
        assert.deepEqual(line.counts(), { running: 0, waiting: 0 });
      }),
      { numRuns: 50 },
    );
  });

  it('foretells every place exactly as long as nobody comes or is let pass', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, async (namespaces) => {
        const { begun, join, end } = stage();
        const tickets = namespaces.map((namespace, index) =>
          join(namespace, `${namespace}${index}`),
        );
        const foretold = tickets.map((ticket) => (ticket.ahead() ?? -1) + 1);
        await settle();
        for (const _ of namespaces) await end();

        const places = namespaces.map((name, index) => begun.indexOf(`${name}${index}`));
        assert.deepEqual(foretold, places);
      }),
      { numRuns: 50 },
    );
  });

  it('gives every namespace its share of a full line, in whatever order they come', async () => {
    fc.assert(
      fc.property(arrivals, (namespaces) => {
        const { join } = stage({ maxWaiting: 8 });
        const tickets: { namespace: string; ticket: QueuedTask<string> }[] = [];
        join('z', 'z');
        for (const [index, namespace] of namespaces.entries()) {
          try {
            tickets.push({ namespace, ticket: join(namespace, `${namespace}${index}`) });
          } catch {
            // It had its share.
          }
        }
        const wanted = Map.groupBy(namespaces, (namespace) => namespace);
        const held = Map.groupBy(
          tickets.filter(({ ticket }) => ticket.ahead() !== undefined),
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
