import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CloneError } from '../../lib/index.ts';
import { untilAborted, withDeadline } from '../../lib/util/abort.ts';

const timeoutError = (): CloneError => new CloneError('SOURCE_UNAVAILABLE', 'too late');

describe('untilAborted', () => {
  it('untilAborted resolves with the result when the signal is not aborted', async () => {
    assert.equal(await untilAborted(Promise.resolve(7), new AbortController().signal), 7);
  });

  it('untilAborted rejects with the reason of a signal that is aborted already', async () => {
    const reason = new Error('gone');

    await assert.rejects(
      untilAborted(new Promise(() => undefined), AbortSignal.abort(reason)),
      reason,
    );
  });

  it('untilAborted handles a rejection of the work after the signal was aborted', async () => {
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
  it('withDeadline rejects with the given error when the work ignores its signal', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { signal } = new AbortController();
    const work = withDeadline(
      { ms: 50, error: timeoutError, signal },
      () => new Promise(() => undefined),
    );

    t.mock.timers.tick(50);

    await assert.rejects(work, { code: 'SOURCE_UNAVAILABLE' });
  });

  it('withDeadline aborts the signal of the work with the reason of its caller', async () => {
    const reason = new Error('gone');
    let received: unknown;

    const work = withDeadline(
      { ms: 50, error: timeoutError, signal: AbortSignal.abort(reason) },
      (within) => {
        received = within.reason;
        return Promise.reject(new Error('aborted'));
      },
    );

    await assert.rejects(work);
    assert.equal(received, reason);
  });
});
