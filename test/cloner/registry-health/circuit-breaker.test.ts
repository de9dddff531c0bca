import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type CircuitBreaker,
  createCircuitBreaker,
  type GuardedCall,
} from '../../../lib/cloner/registry-health/circuit-breaker.ts';
import { CloneError } from '../../../lib/index.ts';

const { signal } = new AbortController();
const refused = new CloneError('SOURCE_UNAVAILABLE', 'connection refused');

interface Stage {
  readonly breaker: CircuitBreaker;
  readonly at: (ms: number) => void;
  ask(work: () => Promise<string>, change?: Partial<GuardedCall>): ReturnType<typeof work>;
  /** Two images that cannot be served. */
  goDown(): Promise<void>;
}

function stage(side: 'source' | 'backup' = 'source'): Stage {
  let time = 0;
  const breaker = createCircuitBreaker({ now: () => time });
  const ask: Stage['ask'] = (work, change) =>
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
    ask,
    async goDown() {
      for (const image of ['nginx', 'redis']) {
        await assert.rejects(
          ask(() => Promise.reject(refused), { image }),
          refused,
        );
      }
    },
  };
}

const unasked = (): Promise<string> => assert.fail('it is not asked now');
const works = (): Promise<string> => Promise.resolve('there');

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}

describe('createCircuitBreaker', () => {
  it('asks as often as it is wanted while nothing is known', async () => {
    const { ask } = stage();

    assert.deepEqual(await Promise.all([ask(works), ask(works)]), ['there', 'there']);
  });

  it('answers at once after a timeoutError, and says when it asks again', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { ask, at } = stage();
    const silent = ask(() => new Promise(() => undefined));
    t.mock.timers.tick(9_000);
    await assert.rejects(silent, { message: 'silent' });
    at(1_200);

    await assert.rejects(ask(unasked), {
      code: 'SOURCE_UNAVAILABLE',
      message: 'docker.io did not answer 2 s ago, next attempt in 1 s',
      retryAfterMs: 800,
    });
  });

  it('calls the backup by its name', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { ask } = stage('backup');
    const silent = ask(() => new Promise(() => undefined));
    t.mock.timers.tick(9_000);
    await assert.rejects(silent);

    await assert.rejects(ask(unasked), {
      code: 'BACKUP_UNAVAILABLE',
      message: 'the backup registry docker.io did not answer 0 s ago, next attempt in 2 s',
    });
  });

  it('does not call it a timeoutError where it gave no time', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { ask } = stage();
    const hurried = ask(() => new Promise(() => undefined), { timeoutMs: 900 });
    t.mock.timers.tick(900);
    await assert.rejects(hurried);

    assert.equal(await ask(works), 'there');
  });

  it('probes after 2 s, 4 s, 8 s, 16 s and then every 30 s', async () => {
    const { ask, at, goDown } = stage();
    await goDown();
    const probes: number[] = [];
    for (let second = 0; second <= 120; second += 1) {
      at(second * 1_000);
      const probe = (): Promise<string> => {
        probes.push(second);
        return Promise.reject(refused);
      };
      await assert.rejects(ask(probe));
    }

    assert.deepEqual(probes, [2, 6, 14, 30, 60, 90, 120]);
  });

  it('has one question at a time; controllers are told so', async () => {
    const { ask, at, goDown } = stage();
    await goDown();
    at(2_500);
    const { promise, resolve } = Promise.withResolvers<string>();
    const probe = ask(() => promise);
    await settle();

    await assert.rejects(ask(unasked), {
      message: 'docker.io gave no usable answer 3 s ago, an attempt is running',
    });
    resolve('there');
    assert.equal(await probe, 'there');
    assert.deepEqual(await Promise.all([ask(works), ask(works)]), ['there', 'there']);
  });

  it('asks at once for a person, and the others wait for that answer', async () => {
    const { ask, goDown } = stage();
    await goDown();
    const person = { isInteractive: true };
    const { promise, resolve } = Promise.withResolvers<string>();
    const first = ask(() => promise, person);
    let asked = 0;
    const others = [1, 2, 3].map(() =>
      ask(async () => {
        asked += 1;
        return 'there';
      }, person),
    );
    await settle();
    assert.equal(asked, 0);

    resolve('there');

    assert.deepEqual(await Promise.all([first, ...others]), ['there', 'there', 'there', 'there']);
  });

  it('asks once for all persons who wait while it stays down', async () => {
    const { ask, goDown } = stage();
    await goDown();
    const { promise, reject } = Promise.withResolvers<string>();
    const first = ask(() => promise, { isInteractive: true });
    const others = [1, 2, 3].map(() => ask(unasked, { isInteractive: true }));
    await settle();

    reject(refused);

    await assert.rejects(first, refused);
    for (const other of others) await assert.rejects(other, { code: 'SOURCE_UNAVAILABLE' });
  });

  it('does not put off the next probe for persons who ask before it', async () => {
    const { ask, at, goDown } = stage();
    await goDown();
    for (const ms of [500, 1_000, 1_500]) {
      at(ms);
      await assert.rejects(ask(() => Promise.reject(refused), { isInteractive: true }));
    }
    at(2_000);

    assert.equal(await ask(works), 'there');
  });

  for (const code of ['SOURCE_NOT_FOUND', 'SOURCE_DENIED', 'SOURCE_RATE_LIMITED'] as const) {
    it(`takes ${code} for a sign of life`, async () => {
      const { ask, at, goDown } = stage();
      await goDown();
      at(2_000);
      await assert.rejects(
        ask(() => Promise.reject(new CloneError(code, 'no'))),
        { code },
      );

      assert.equal(await ask(works), 'there');
    });
  }

  it('says nothing of the other side of the same host', async () => {
    const { ask, goDown } = stage();
    await goDown();

    assert.equal(await ask(works, { side: 'backup' }), 'there');
  });

  it('does not hold against it what is a minute apart', async () => {
    const { ask, at } = stage();
    await assert.rejects(ask(() => Promise.reject(refused), { image: 'nginx' }));
    at(60_000);
    await assert.rejects(ask(() => Promise.reject(refused), { image: 'redis' }));

    assert.equal(await ask(works), 'there');
  });

  it('lets whoever hangs up go, and the next one probe', async () => {
    const { ask, at, goDown } = stage();
    await goDown();
    at(2_000);
    const caller = new AbortController();
    const reason = new CloneError('INTERRUPTED', 'hung up');
    const probe = ask(() => new Promise(() => undefined), { signal: caller.signal });

    caller.abort(reason);
    await assert.rejects(probe, reason);
    await settle();

    assert.equal(await ask(works), 'there');
  });
});
