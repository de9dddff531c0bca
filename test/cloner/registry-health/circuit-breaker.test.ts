import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type CircuitBreaker,
  createCircuitBreaker,
  type GuardedCall,
} from '../../../lib/cloner/registry-health/circuit-breaker.ts';
import { CloneError } from '../../../lib/index.ts';
import { drainMicrotasks } from '../../support/drain-microtasks.ts';

const { signal } = new AbortController();
const refused = new CloneError('SOURCE_UNAVAILABLE', 'connection refused');

interface Fixture {
  readonly breaker: CircuitBreaker;
  readonly at: (ms: number) => void;
  call(work: () => Promise<string>, change?: Partial<GuardedCall>): ReturnType<typeof work>;
  /** Fails for two images. */
  openCircuit(): Promise<void>;
}

function createFixture(side: 'source' | 'backup' = 'source'): Fixture {
  let time = 0;
  const breaker = createCircuitBreaker({ now: () => time });
  const call: Fixture['call'] = (work, change) =>
    breaker.call(
      {
        side,
        domain: 'docker.io',
        image: 'nginx',
        isInteractive: false,
        timeoutMs: 9_000,
        timeoutError: () =>
          new CloneError(side === 'source' ? 'SOURCE_UNAVAILABLE' : 'BACKUP_UNAVAILABLE', 'silent'),
        signal,
        ...change,
      },
      work,
    );
  return {
    breaker,
    at: (ms) => {
      time = ms;
    },
    call,
    async openCircuit() {
      for (const image of ['nginx', 'redis']) {
        await assert.rejects(
          call(() => Promise.reject(refused), { image }),
          refused,
        );
      }
    },
  };
}

const unused = (): Promise<string> => assert.fail('the registry was called');
const works = (): Promise<string> => Promise.resolve('there');

describe('createCircuitBreaker', () => {
  it('keeps the circuits of at most 1000 registries, and evicts the one that failed longest ago', async () => {
    const { call, openCircuit } = createFixture();
    await openCircuit();
    await assert.rejects(call(unused), { code: 'SOURCE_UNAVAILABLE' });

    for (let count = 0; count < 1_000; count += 1) {
      const work = (): Promise<string> => Promise.reject(refused);
      await assert.rejects(call(work, { domain: `${count}.test` }), refused);
    }

    assert.equal(await call(works), 'there');
  });

  it('passes concurrent calls through while the circuit is closed', async () => {
    const { call } = createFixture();

    assert.deepEqual(await Promise.all([call(works), call(works)]), ['there', 'there']);
  });

  it('fails calls to a registry at once after a timeout and reports the time of the next attempt', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { call, at } = createFixture();
    const silent = call(() => new Promise(() => undefined));
    t.mock.timers.tick(9_000);
    await assert.rejects(silent, { message: 'silent' });
    at(1_200);

    await assert.rejects(call(unused), {
      code: 'SOURCE_UNAVAILABLE',
      message: 'docker.io did not answer 2 s ago, next attempt in 1 s',
      retryAfterMs: 800,
    });
  });

  it('names the backup registry in the error of an open circuit', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { call } = createFixture('backup');
    const silent = call(() => new Promise(() => undefined));
    t.mock.timers.tick(9_000);
    await assert.rejects(silent);

    await assert.rejects(call(unused), {
      code: 'BACKUP_UNAVAILABLE',
      message: 'the backup registry docker.io did not answer 0 s ago, next attempt in 2 s',
    });
  });

  it('does not count a timeout under a second as an outage of the registry', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { call } = createFixture();
    const short = call(() => new Promise(() => undefined), { timeoutMs: 900 });
    t.mock.timers.tick(900);
    await assert.rejects(short);

    assert.equal(await call(works), 'there');
  });

  it('probes an open circuit after 2 s, 4 s, 8 s, 16 s and then every 30 s', async () => {
    const { call, at, openCircuit } = createFixture();
    await openCircuit();
    const probes: number[] = [];
    for (let second = 0; second <= 120; second += 1) {
      at(second * 1_000);
      const probe = (): Promise<string> => {
        probes.push(second);
        return Promise.reject(refused);
      };
      await assert.rejects(call(probe));
    }

    assert.deepEqual(probes, [2, 6, 14, 30, 60, 90, 120]);
  });

  it('runs one probe of an open circuit at a time and fails calls of controllers meanwhile', async () => {
    const { call, at, openCircuit } = createFixture();
    await openCircuit();
    at(2_500);
    const { promise, resolve } = Promise.withResolvers<string>();
    const probe = call(() => promise);
    await drainMicrotasks();

    await assert.rejects(call(unused), {
      message: 'docker.io gave no usable answer 3 s ago, an attempt is running',
    });
    resolve('there');
    assert.equal(await probe, 'there');
    assert.deepEqual(await Promise.all([call(works), call(works)]), ['there', 'there']);
  });

  it('probes an open circuit at once for an interactive call, and other interactive calls wait for it', async () => {
    const { call, openCircuit } = createFixture();
    await openCircuit();
    const interactive = { isInteractive: true };
    const { promise, resolve } = Promise.withResolvers<string>();
    const first = call(() => promise, interactive);
    let calls = 0;
    const others = [1, 2, 3].map(() =>
      call(async () => {
        calls += 1;
        return 'there';
      }, interactive),
    );
    await drainMicrotasks();
    assert.equal(calls, 0);

    resolve('there');

    assert.deepEqual(await Promise.all([first, ...others]), ['there', 'there', 'there', 'there']);
  });

  it('fails all waiting interactive calls after one failed probe', async () => {
    const { call, openCircuit } = createFixture();
    await openCircuit();
    const { promise, reject } = Promise.withResolvers<string>();
    const first = call(() => promise, { isInteractive: true });
    const others = [1, 2, 3].map(() => call(unused, { isInteractive: true }));
    await drainMicrotasks();

    reject(refused);

    await assert.rejects(first, refused);
    for (const other of others) await assert.rejects(other, { code: 'SOURCE_UNAVAILABLE' });
  });

  it('names no next attempt if the pause ended during an early probe', async () => {
    const { call, at, openCircuit } = createFixture();
    await openCircuit();
    at(1_500);
    const { promise, reject } = Promise.withResolvers<string>();
    const probe = call(() => promise, { isInteractive: true });
    const waiting = call(unused, { isInteractive: true });
    at(2_500);
    reject(refused);

    await assert.rejects(probe, refused);
    await assert.rejects(waiting, {
      code: 'SOURCE_UNAVAILABLE',
      message: 'docker.io gave no usable answer 3 s ago',
      retryAfterMs: 0,
    });
  });

  it('does not delay the next probe of an open circuit when interactive calls probe before it', async () => {
    const { call, at, openCircuit } = createFixture();
    await openCircuit();
    for (const ms of [500, 1_000, 1_500]) {
      at(ms);
      await assert.rejects(call(() => Promise.reject(refused), { isInteractive: true }));
    }
    at(2_000);

    assert.equal(await call(works), 'there');
  });

  for (const code of ['SOURCE_NOT_FOUND', 'SOURCE_DENIED', 'SOURCE_RATE_LIMITED'] as const) {
    it(`closes the circuit when the registry answers ${code}`, async () => {
      const { call, at, openCircuit } = createFixture();
      await openCircuit();
      at(2_000);
      await assert.rejects(
        call(() => Promise.reject(new CloneError(code, 'no'))),
        { code },
      );

      assert.equal(await call(works), 'there');
    });
  }

  it('keeps separate circuits for source and backup on one host', async () => {
    const { call, openCircuit } = createFixture();
    await openCircuit();

    assert.equal(await call(works, { side: 'backup' }), 'there');
  });

  it('does not open the circuit for failures a minute apart', async () => {
    const { call, at } = createFixture();
    await assert.rejects(call(() => Promise.reject(refused), { image: 'nginx' }));
    at(60_000);
    await assert.rejects(call(() => Promise.reject(refused), { image: 'redis' }));

    assert.equal(await call(works), 'there');
  });

  it('lets the next call probe an open circuit when the caller of the probe is aborted', async () => {
    const { call, at, openCircuit } = createFixture();
    await openCircuit();
    at(2_000);
    const caller = new AbortController();
    const reason = new CloneError('INTERRUPTED', 'hung up');
    const probe = call(() => new Promise(() => undefined), { signal: caller.signal });

    caller.abort(reason);
    await assert.rejects(probe, reason);
    await drainMicrotasks();

    assert.equal(await call(works), 'there');
  });
});
