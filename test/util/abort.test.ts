import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CloneError } from '../../lib/index.ts';
import { untilAborted, withDeadline } from '../../lib/util/abort.ts';

const late = (): CloneError => new CloneError('SOURCE_UNAVAILABLE', 'too late');

describe('untilAborted', () => {
  it('gives the result of what is faster than the signal', async () => {
    assert.equal(await untilAborted(Promise.resolve(7), new AbortController().signal), 7);
  });

  it('rejects with the reason of a signal that has fired already', async () => {
    const reason = new Error('gone');

    await assert.rejects(
      untilAborted(new Promise(() => undefined), AbortSignal.abort(reason)),
      reason,
    );
  });

  it('listens to work that fails after the signal, which would end the process otherwise', async () => {
    const unhandled: unknown[] = [];
    const listen = (error: unknown): void => {
      unhandled.push(error);
    };
    process.on('unhandledRejection', listen);
    const reason = new Error('gone');
    const work = Promise.withResolvers<never>();

    await assert.rejects(untilAborted(work.promise, AbortSignal.abort(reason)), reason);
    work.reject(new Error('failed later'));
    await new Promise((resolve) => {
      setImmediate(resolve);
    });

    process.off('unhandledRejection', listen);
    assert.deepEqual(unhandled, []);
  });
});

describe('withDeadline', () => {
  it('ends work that does not listen to its signal, with the error that was asked for', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { signal } = new AbortController();
    const work = withDeadline({ ms: 50, error: late, signal }, () => new Promise(() => undefined));

    t.mock.timers.tick(50);

    await assert.rejects(work, { code: 'SOURCE_UNAVAILABLE' });
  });

  it('tells the work why it ends', async () => {
    const reason = new Error('gone');
    let seen: unknown;

    const work = withDeadline(
      { ms: 50, error: late, signal: AbortSignal.abort(reason) },
      (within) => {
        seen = within.reason;
        return Promise.reject(new Error('aborted'));
      },
    );

    await assert.rejects(work);
    assert.equal(seen, reason);
  });
});
