import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import {
  type CredentialCache,
  createCredentialCache,
  type IssuedCredentials,
} from '../../../lib/adapters/cloud/credential-cache.ts';
import { IdentityError } from '../../../lib/adapters/cloud/identity-error.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { createMemoryLog, type MemoryLog } from '../../support/memory-log.ts';

const hourMs = 3_600_000;

describe('createCredentialCache', () => {
  let clock: FakeClock;
  let log: MemoryLog;
  /** One for each request to the identity service, in order. */
  let requests: PromiseWithResolvers<IssuedCredentials>[];
  let cache: CredentialCache;
  const { signal } = new AbortController();
  const within = { ms: 60_000, signal };
  const issued = (password: string): IssuedCredentials => ({
    credentials: { username: 'u', password },
    lifetimeMs: hourMs,
  });

  beforeEach(() => {
    clock = createFakeClock();
    log = createMemoryLog();
    requests = [];
    cache = createCredentialCache({
      issue: () => {
        const request = Promise.withResolvers<IssuedCredentials>();
        requests.push(request);
        return request.promise;
      },
      keyOf: (domain) => domain,
      logger: log.logger,
      now: clock.now,
    });
  });

  /** Gets the first credentials of `reg.test`. */
  async function start(): Promise<void> {
    const first = cache.get('reg.test', 'backup', within);
    requests[0]?.resolve(issued('one'));
    await first;
  }

  async function password(): Promise<string> {
    return (await cache.get('reg.test', 'backup', within)).password;
  }

  it('asks the identity service once for all callers of a registry', async () => {
    const all = Promise.all([password(), password(), cache.get('reg.test', 'source', within)]);
    requests[0]?.resolve(issued('one'));
    await all;

    assert.equal(await password(), 'one');
    assert.equal(requests.length, 1);
  });

  it('renews credentials of an identity while they are still valid, without a wait', async () => {
    await start();
    await clock.advance(0.75 * hourMs);

    assert.equal(await password(), 'one');
    assert.equal(await password(), 'one');
    requests[1]?.resolve(issued('two'));
    await clock.advance(0);

    assert.equal(await password(), 'two');
    assert.equal(requests.length, 2);
  });

  it('keeps valid credentials of an identity and logs it if they cannot be renewed', async () => {
    await start();
    await clock.advance(0.75 * hourMs);

    assert.equal(await password(), 'one');
    requests[1]?.reject(new IdentityError('no answer', { isTransient: true }));
    await clock.advance(0);

    assert.equal(await password(), 'one');
    assert.deepEqual(
      log.lines.map(({ level, message }) => [level, message]),
      [['warn', 'credentials of the cloud identity cannot be renewed']],
    );
  });

  it('does not use credentials of an identity in their last minute', async () => {
    await start();
    await clock.advance(hourMs - 60_000);

    const next = password();
    requests[1]?.resolve(issued('two'));

    assert.equal(await next, 'two');
  });

  it('names the side, the registry and the problem of an identity that is denied', async () => {
    const refused = cache.get('reg.test', 'backup', within);
    requests[0]?.reject(new IdentityError('it may not', { isTransient: false }));

    await assert.rejects(refused, {
      name: 'CloneError',
      code: 'BACKUP_DENIED',
      message: 'no credentials for the backup registry reg.test: it may not',
    });
    await assert.rejects(cache.get('reg.test', 'source', within), {
      code: 'SOURCE_DENIED',
      message: 'no credentials for reg.test: it may not',
    });
  });

  it('remembers the failure of an identity for two seconds', async () => {
    const refused = password();
    requests[0]?.reject(new IdentityError('no answer', { isTransient: true }));
    await assert.rejects(refused, { code: 'BACKUP_UNAVAILABLE' });

    await clock.advance(1_999);
    await assert.rejects(password(), { code: 'BACKUP_UNAVAILABLE' });
    await clock.advance(1);
    const next = password();
    requests[1]?.resolve(issued('one'));

    assert.equal(await next, 'one');
    assert.equal(requests.length, 2);
  });

  it('waits for a slow identity no longer than its caller, and the next caller joins the request', async () => {
    const slow = cache.get('reg.test', 'backup', { ms: 1, signal });

    await assert.rejects(slow, {
      code: 'BACKUP_UNAVAILABLE',
      message:
        'no credentials for the backup registry reg.test: the identity service did not answer in time',
    });
    const next = password();
    requests[0]?.resolve(issued('one'));

    assert.equal(await next, 'one');
    assert.equal(requests.length, 1);
  });

  it("rejects with the reason of the caller's signal while an identity is slow", async () => {
    const hangUp = new AbortController();
    const slow = cache.get('reg.test', 'backup', { ms: 60_000, signal: hangUp.signal });
    hangUp.abort(new Error('hung up'));

    await assert.rejects(slow, { name: 'Error', message: 'hung up' });
  });

  it('replaces credentials of an identity that a registry refuses', async () => {
    await start();
    await clock.advance(60_000);

    const renewed = cache.renew('reg.test', { username: 'u', password: 'one' }, signal);
    requests[1]?.resolve(issued('two'));

    assert.equal((await renewed)?.password, 'two');
    assert.equal(await password(), 'two');
  });

  it('does not ask for other credentials of an identity if a registry refuses new ones', async () => {
    await start();
    await clock.advance(59_999);

    const renewed = await cache.renew('reg.test', { username: 'u', password: 'one' }, signal);

    assert.equal(renewed, undefined);
    assert.equal(requests.length, 1);
  });

  it('hands out the credentials of an identity that replaced the refused ones already', async () => {
    await start();

    const renewed = await cache.renew('reg.test', { username: 'u', password: 'older' }, signal);

    assert.equal(renewed?.password, 'one');
    assert.equal(requests.length, 1);
  });

  it('names the identity after its refused credentials could not be renewed', async () => {
    await start();
    await clock.advance(60_000);

    const renewed = cache.renew('reg.test', { username: 'u', password: 'one' }, signal);
    requests[1]?.reject(new IdentityError('it may not', { isTransient: false }));

    assert.equal(await renewed, undefined);
    await assert.rejects(password(), {
      code: 'BACKUP_DENIED',
      message: 'no credentials for the backup registry reg.test: it may not',
    });
  });
});
