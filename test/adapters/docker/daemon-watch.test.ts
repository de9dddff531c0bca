import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, type TestContext } from 'node:test';
import Docker from 'dockerode';
import { watchDaemon } from '../../../lib/adapters/docker/daemon-watch.ts';
import { CloneError } from '../../../lib/errors.ts';
import type { ImageCloner } from '../../../lib/index.ts';
import { type FakeDaemon, json, startFakeDaemon } from '../../support/fake-daemon.ts';
import { createMemoryLog, type MemoryLog } from '../../support/memory-log.ts';

const { signal } = new AbortController();
const image = { domain: 'reg.test', path: 'app', tag: '1' };
const source = { side: 'source' } as const;
const unreachable = new CloneError('CLONER_UNAVAILABLE', 'the docker daemon cannot be reached');

interface Watch {
  readonly cloner: ImageCloner;
  readonly log: MemoryLog;
  /** The result of the next ping. */
  nextAnswer(): Promise<boolean>;
}

/** A watched cloner whose every call ends with `result`. */
function watch(socketPath: string, result: () => Promise<undefined>): Watch {
  let next = Promise.withResolvers<boolean>();
  const log = createMemoryLog();
  const cloner = watchDaemon(
    { resolve: result, copy: () => Promise.reject(unreachable) },
    {
      docker: new Docker({ host: undefined, socketPath }),
      logger: log.logger,
      onAnswer(isUp) {
        next.resolve(isUp);
        next = Promise.withResolvers();
      },
    },
  );
  return {
    cloner,
    log,
    nextAnswer: () => next.promise,
  };
}

const fails = (): Promise<undefined> => Promise.reject(unreachable);
const works = (): Promise<undefined> => Promise.resolve(undefined);

describe('watchDaemon', () => {
  let daemon: FakeDaemon;
  beforeEach(async () => {
    daemon = await startFakeDaemon();
  });
  afterEach(() => daemon.close().catch(() => undefined));

  function mockInterval(t: TestContext): void {
    t.mock.timers.enable({ apis: ['setInterval'] });
  }

  it('reports that the docker daemon answers when the watch begins, and logs nothing', async (t) => {
    mockInterval(t);
    const { nextAnswer, log } = watch(daemon.socketPath, works);

    assert.equal(await nextAnswer(), true);
    assert.deepEqual(log.lines, []);
  });

  it('reports a docker daemon that goes away, and that it is back, without a call', async (t) => {
    mockInterval(t);
    const { nextAnswer, log } = watch(daemon.socketPath, works);
    await nextAnswer();
    daemon.override(/_ping/, (_, response) => response.destroy());

    t.mock.timers.tick(15_000);
    assert.equal(await nextAnswer(), false);
    daemon.override(/_ping/, (_, response) => json(response, 200, 'OK'));
    t.mock.timers.tick(15_000);
    assert.equal(await nextAnswer(), true);

    assert.deepEqual(
      log.lines.map(({ level, message, fields }) => [level, message, fields]),
      [
        ['warn', 'the docker daemon does not answer', { code: 'ECONNRESET' }],
        ['info', 'the docker daemon answers again', {}],
      ],
    );
  });

  it('logs one line for an outage of the docker daemon that lasts', async (t) => {
    mockInterval(t);
    const { nextAnswer, log } = watch(daemon.socketPath, works);
    await nextAnswer();
    await daemon.close();

    for (let n = 0; n < 3; n += 1) {
      t.mock.timers.tick(15_000);
      assert.equal(await nextAnswer(), false);
    }

    assert.deepEqual(
      log.lines.map(({ fields }) => fields),
      [{ code: 'ENOENT' }],
    );
  });

  it('reports a docker daemon that answers a ping with an error as down', async (t) => {
    mockInterval(t);
    daemon.override(/_ping/, (_, response) => json(response, 500, { message: 'starting' }));
    const { nextAnswer, log } = watch(daemon.socketPath, works);

    assert.equal(await nextAnswer(), false);
    assert.deepEqual(log.lines[0]?.fields, { code: 'HTTP 500' });
  });

  for (const call of ['resolve', 'copy'] as const) {
    it(`pings the docker daemon at once when a ${call} does not reach it`, async (t) => {
      mockInterval(t);
      const { cloner, nextAnswer } = watch(daemon.socketPath, fails);
      await nextAnswer();
      await daemon.close();
      const answer = nextAnswer();

      const request = {
        source: { ...image, digest: `sha256:${'a'.repeat(64)}` },
        sourceAccess: source,
        target: image,
        targetAccess: source,
        firstTag: 'x',
      };
      const called =
        call === 'copy'
          ? cloner.copy(request, signal, () => undefined)
          : cloner.resolve(image, source, signal);

      await assert.rejects(called, unreachable);
      assert.equal(await answer, false);
    });
  }

  it('pings the docker daemon once for calls that fail together', async (t) => {
    mockInterval(t);
    const pings: ((error: unknown) => void)[] = [];
    const docker = {
      modem: {
        dial: (_: object, callback: (error: unknown) => void) => {
          pings.push(callback);
        },
      },
    };
    const { logger } = createMemoryLog();
    const answered = Promise.withResolvers<boolean>();
    const cloner = watchDaemon(
      { resolve: fails, copy: () => Promise.reject(unreachable) },
      { docker, logger, onAnswer: answered.resolve },
    );

    await Promise.allSettled(
      Array.from({ length: 100 }, () => cloner.resolve(image, source, signal)),
    );

    assert.equal(pings.length, 1);
    pings[0]?.(null);
    assert.equal(await answered.promise, true);
    await assert.rejects(cloner.resolve(image, source, signal), unreachable);
    assert.equal(pings.length, 2);
  });

  it('reports that the docker daemon is back at the first call that it answers', async (t) => {
    mockInterval(t);
    daemon.override(/_ping/, (_, response) => response.destroy());
    const { cloner, nextAnswer } = watch(daemon.socketPath, works);
    assert.equal(await nextAnswer(), false);
    daemon.override(/_ping/, (_, response) => json(response, 200, 'OK'));
    const answer = nextAnswer();

    await cloner.resolve(image, source, signal);

    assert.equal(await answer, true);
  });
});
