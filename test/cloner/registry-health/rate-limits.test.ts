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

interface Fixture {
  readonly at: (ms: number) => void;
  readonly slept: readonly number[];
  call(work: () => Promise<string>, change?: Partial<LimitedCall>): Promise<string>;
}

/** Its clock advances with each sleep. */
function createFixture(): Fixture {
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
    call: (work, change) => limits.call({ ...anonymous, ...change }, work),
  };
}

function limited(retryAfterMs?: number): () => Promise<string> {
  const options = { retryAfterMs };
  return () => Promise.reject(new CloneError('SOURCE_RATE_LIMITED', 'slow down', options));
}

const unused = (): Promise<string> => assert.fail('the registry was called');
const works = (): Promise<string> => Promise.resolve('there');

describe('createRateLimits', () => {
  it('keeps at most 1000 rate limits, and evicts the oldest', async () => {
    const { call } = createFixture();
    await assert.rejects(call(limited(41_000)), { message: 'slow down' });
    await assert.rejects(call(unused), { code: 'SOURCE_RATE_LIMITED' });

    for (let count = 0; count < 1_000; count += 1) {
      await assert.rejects(call(limited(41_000), { domain: `${count}.test` }), {
        message: 'slow down',
      });
    }

    assert.equal(await call(works), 'there');
  });

  it('does not call a registry until its limit ends, and reports how long that takes', async () => {
    const { call, at } = createFixture();
    await assert.rejects(call(limited(41_000)), { message: 'slow down' });
    at(1_000);

    await assert.rejects(call(unused), {
      code: 'SOURCE_RATE_LIMITED',
      message:
        'docker.io limits requests for 40 s more; authenticate (SOURCE_AUTH_FILE) to get a separate limit',
      retryAfterMs: 40_000,
    });
    at(41_000);
    assert.equal(await call(works), 'there');
  });

  it('omits the advice to authenticate for authenticated calls in a rate limit error, and names the backup registry', async () => {
    const { call } = createFixture();
    const own = { access: { side: 'source', credentials } } as const;
    const backup = { access: { side: 'backup', credentials } } as const;
    await assert.rejects(call(limited(600_000), own));
    await assert.rejects(
      call(() => Promise.reject(new CloneError('BACKUP_RATE_LIMITED', 'no')), backup),
    );

    await assert.rejects(call(unused, own), {
      message: 'docker.io limits requests for 10 min more',
    });
    await assert.rejects(call(unused, backup), {
      code: 'BACKUP_RATE_LIMITED',
      message: 'the backup registry docker.io limits requests for 2 s more',
    });
  });

  it('does not limit the backup for a rate limit of the source', async () => {
    const { call } = createFixture();
    const backup = { access: { side: 'backup', credentials } } as const;
    await assert.rejects(call(limited(600_000), backup), { code: 'SOURCE_RATE_LIMITED' });

    assert.equal(await call(works, backup), 'there');
  });

  const cdnLimit = (retryAfterMs: number) => (): Promise<string> => {
    const options = { retryAfterMs, limitedHost: 'cdn.test' };
    return Promise.reject(new CloneError('SOURCE_RATE_LIMITED', 'slow down', options));
  };

  it('does not limit a registry for the rate limit of a host that it redirects to', async () => {
    const { call } = createFixture();
    await assert.rejects(call(cdnLimit(600_000)), { message: 'slow down' });

    assert.equal(await call(works), 'there');
  });

  it('waits for a short rate limit of a host that the registry redirects to', async () => {
    const { call, slept } = createFixture();
    const answers = [cdnLimit(3_000), works];

    const answer = await call(() => (answers.shift() ?? unused)(), { timeoutMs: 8_000 });

    assert.equal(answer, 'there');
    assert.deepEqual(slept, [3_000]);
  });

  it('keeps a separate rate limit for each registry, side and credentials', async () => {
    const { call } = createFixture();
    await assert.rejects(call(limited(60_000)));

    assert.equal(await call(works, { access: { side: 'source', credentials } }), 'there');
    assert.equal(await call(works, { access: { side: 'backup' } }), 'there');
    assert.equal(await call(works, { domain: 'quay.io' }), 'there');
  });

  it('doubles the pause when the registry gives no Retry-After, 5 minutes at most', async () => {
    const { call, at } = createFixture();
    const calledAt: number[] = [];
    for (let second = 0; second <= 1_200; second += 1) {
      at(second * 1_000);
      const work = (): Promise<string> => {
        calledAt.push(second);
        return limited()();
      };
      await assert.rejects(call(work));
    }

    assert.deepEqual(calledAt, [0, 2, 6, 14, 30, 62, 126, 254, 510, 810, 1_110]);
  });

  it('counts concurrent rate limit responses as one', async () => {
    const { call } = createFixture();
    const all = Array.from({ length: 20 }, () => call(limited()));
    for (const one of all) await assert.rejects(one, { message: 'slow down' });

    await assert.rejects(call(unused), { message: /for 2 s more/ });
  });

  it('starts with the shortest pause again after the registry answered', async () => {
    const { call, at } = createFixture();
    await assert.rejects(call(limited()));
    at(2_000);
    await call(works);
    await assert.rejects(call(limited()));

    await assert.rejects(call(unused), { message: /for 2 s more/ });
  });

  it('waits for a rate limit that ends within the timeout, and calls the registry again', async () => {
    const { call, slept } = createFixture();
    const answers = [limited(3_000), works];

    const answer = await call(() => (answers.shift() ?? unused)(), { timeoutMs: 8_000 });

    assert.equal(answer, 'there');
    assert.deepEqual(slept, [3_000]);
  });

  it('does not wait for rate limits longer than the timeout in total', async () => {
    const { call, slept } = createFixture();

    await assert.rejects(call(limited(3_000), { timeoutMs: 8_000 }), { message: 'slow down' });

    assert.deepEqual(slept, [3_000, 3_000]);
  });

  it('calls a registry again after an hour when it sets a rate limit of a day', async () => {
    const { call, at } = createFixture();
    await assert.rejects(call(limited(86_400_000)));
    at(3_600_000);

    assert.equal(await call(works), 'there');
  });
});
