import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  createRateLimits,
  type LimitedCall,
} from '../../../lib/cloner/registry-health/rate-limits.ts';
import { CloneError } from '../../../lib/index.ts';

const anonymous: LimitedCall = {
  domain: 'docker.io',
  access: { side: 'source' },
  timeoutMs: 0,
  signal: new AbortController().signal,
};
const credentials = { username: 'acme', password: 'p' };

interface Stage {
  readonly at: (ms: number) => void;
  readonly slept: readonly number[];
  ask(work: () => Promise<string>, change?: Partial<LimitedCall>): Promise<string>;
}

/** A clock that moves with the sleep. */
function stage(): Stage {
  let time = 0;
  const slept: number[] = [];
  const limits = createRateLimits({
    now: () => time,
    sleep: async (ms) => {
      slept.push(ms);
      time += ms;
    },
  });
  return {
    at: (ms) => {
      time = ms;
    },
    slept,
    ask: (work, change) => limits.call({ ...anonymous, ...change }, work),
  };
}

function limited(retryAfterMs?: number): () => Promise<string> {
  const options = { retryAfterMs };
  return () => Promise.reject(new CloneError('SOURCE_RATE_LIMITED', 'slow down', options));
}

const unasked = (): Promise<string> => assert.fail('it is not asked now');
const works = (): Promise<string> => Promise.resolve('there');

describe('createRateLimits', () => {
  it('asks nothing until the limit is over, and says how long that is', async () => {
    const { ask, at } = stage();
    await assert.rejects(ask(limited(41_000)), { message: 'slow down' });
    at(1_000);

    await assert.rejects(ask(unasked), {
      code: 'SOURCE_RATE_LIMITED',
      message:
        'docker.io limits requests for 40 s more: authenticate (SOURCE_AUTH_FILE) to get a separate limit',
      retryAfterMs: 40_000,
    });
    at(41_000);
    assert.equal(await ask(works), 'there');
  });

  it('says no more than it needs to who is logged in, and names the backup', async () => {
    const { ask } = stage();
    const own = { access: { side: 'source', credentials } } as const;
    const backup = { access: { side: 'backup', credentials } } as const;
    await assert.rejects(ask(limited(600_000), own));
    await assert.rejects(
      ask(() => Promise.reject(new CloneError('BACKUP_RATE_LIMITED', 'no')), backup),
    );

    await assert.rejects(ask(unasked, own), {
      message: 'docker.io limits requests for 10 min more',
    });
    await assert.rejects(ask(unasked, backup), {
      code: 'BACKUP_RATE_LIMITED',
      message: 'the backup registry docker.io limits requests for 2 s more',
    });
  });

  it('does not take the source’s limit for one of the backup, whose question it ended', async () => {
    const { ask } = stage();
    const backup = { access: { side: 'backup', credentials } } as const;
    await assert.rejects(ask(limited(600_000), backup), { code: 'SOURCE_RATE_LIMITED' });

    assert.equal(await ask(works, backup), 'there');
  });

  it('keeps each client’s limit by itself', async () => {
    const { ask } = stage();
    await assert.rejects(ask(limited(60_000)));

    assert.equal(await ask(works, { access: { side: 'source', credentials } }), 'there');
    assert.equal(await ask(works, { access: { side: 'backup' } }), 'there');
    assert.equal(await ask(works, { domain: 'quay.io' }), 'there');
  });

  it('takes longer each time where the registry does not say how long, 5 minutes at most', async () => {
    const { ask, at } = stage();
    const asked: number[] = [];
    for (let second = 0; second <= 1_200; second += 1) {
      at(second * 1_000);
      const question = (): Promise<string> => {
        asked.push(second);
        return limited()();
      };
      await assert.rejects(ask(question));
    }

    assert.deepEqual(asked, [0, 2, 6, 14, 30, 62, 126, 254, 510, 810, 1_110]);
  });

  it('takes twenty refusals at once for one', async () => {
    const { ask } = stage();
    const all = Array.from({ length: 20 }, () => ask(limited()));
    for (const one of all) await assert.rejects(one, { message: 'slow down' });

    await assert.rejects(ask(unasked), { message: /for 2 s more/ });
  });

  it('begins anew when the registry has answered', async () => {
    const { ask, at } = stage();
    await assert.rejects(ask(limited()));
    at(2_000);
    await ask(works);
    await assert.rejects(ask(limited()));

    await assert.rejects(ask(unasked), { message: /for 2 s more/ });
  });

  it('waits where the limit ends in time, and asks once more', async () => {
    const { ask, slept } = stage();
    const answers = [limited(3_000), works];

    const answer = await ask(() => (answers.shift() ?? unasked)(), { timeoutMs: 8_000 });

    assert.equal(answer, 'there');
    assert.deepEqual(slept, [3_000]);
  });

  it('waits for no longer than it may, in all', async () => {
    const { ask, slept } = stage();

    await assert.rejects(ask(limited(3_000), { timeoutMs: 8_000 }), { message: 'slow down' });

    assert.deepEqual(slept, [3_000, 3_000]);
  });

  it('tries after an hour what wants to be left alone for a day', async () => {
    const { ask, at } = stage();
    await assert.rejects(ask(limited(86_400_000)));
    at(3_600_000);

    assert.equal(await ask(works), 'there');
  });
});
