import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createSharedFlight } from '../../lib/util/shared-flight.ts';

const options = { maxJoinMs: 1_000, now: () => 0 };

const patient = (): AbortSignal => new AbortController().signal;

describe('createSharedFlight', () => {
  it('shares one call among concurrent callers of a key, and starts another one afterwards', async () => {
    const flight = createSharedFlight<number>(options);
    let calls = 0;
    const work = async (): Promise<number> => {
      calls += 1;
      return calls;
    };

    const both = await Promise.all([
      flight.run('a', patient(), work),
      flight.run('a', patient(), work),
      flight.run('b', patient(), work),
    ]);

    assert.deepEqual(both, [1, 1, 2]);
    assert.equal(await flight.run('a', patient(), work), 3);
  });

  it('shares a failure, and keeps none', async () => {
    const flight = createSharedFlight<number>(options);
    const fails = (): Promise<never> => Promise.reject(new Error('down'));

    const both = await Promise.allSettled([
      flight.run('a', patient(), fails),
      flight.run('a', patient(), () => assert.fail('a second call')),
    ]);

    assert.deepEqual(
      both.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    assert.equal(await flight.run('a', patient(), () => Promise.resolve(7)), 7);
  });

  it('goes on for the other callers after one has left, also the first', async () => {
    const flight = createSharedFlight<string>(options);
    const { promise, resolve } = Promise.withResolvers<string>();
    const leaving = new AbortController();
    const first = flight.run('a', leaving.signal, () => promise);
    const second = flight.run('a', patient(), () => assert.fail('a second call'));

    leaving.abort(new Error('I left'));
    await assert.rejects(first, { message: 'I left' });
    resolve('answer');

    assert.equal(await second, 'answer');
  });

  it('ends the call when its last caller has left, and starts another one for the next', async () => {
    const flight = createSharedFlight<string>(options);
    const [one, two] = [new AbortController(), new AbortController()];
    let ended: AbortSignal | undefined;
    const hangs = (signal: AbortSignal): Promise<never> => {
      ended = signal;
      return new Promise(() => undefined);
    };
    const both = [flight.run('a', one.signal, hangs), flight.run('a', two.signal, hangs)];

    one.abort();
    await assert.rejects(Promise.race(both));
    assert.equal(ended?.aborted, false);
    two.abort(new Error('the last'));
    await Promise.allSettled(both);

    assert.equal(ended?.aborted, true);
    assert.equal(await flight.run('a', patient(), () => Promise.resolve('new')), 'new');
  });

  it('starts another call for a caller that comes a second later', async () => {
    let time = 0;
    const flight = createSharedFlight<string>({ maxJoinMs: 1_000, now: () => time });
    const { promise, resolve } = Promise.withResolvers<string>();
    const old = flight.run('a', patient(), () => promise);
    time = 999;
    const joined = flight.run('a', patient(), () => assert.fail('a second call'));

    time = 1_000;
    const late = await flight.run('a', patient(), () => Promise.resolve('new'));
    resolve('old');

    assert.deepEqual([await old, await joined, late], ['old', 'old', 'new']);
  });

  it('starts nothing for a caller that has left already', async () => {
    const flight = createSharedFlight<string>(options);
    const left = AbortSignal.abort(new Error('gone'));

    await assert.rejects(
      flight.run('a', left, () => assert.fail('a call')),
      { message: 'gone' },
    );
  });
});
