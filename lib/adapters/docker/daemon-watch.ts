import { CloneError } from '../../errors.ts';
import type { ImageCloner, Logger } from '../../ports/index.ts';
import { describeCode } from './daemon-error.ts';
import { dial } from './dial.ts';

export interface DaemonWatchDeps {
  readonly docker: { readonly modem: unknown };
  /** Receives the result of each ping. */
  readonly onAnswer: (isUp: boolean) => void;
  readonly logger: Logger;
}

const pingIntervalMs = 15_000;
const pingTimeoutMs = 5_000;

/**
 * Pings the daemon now and then, and at once after a call of the cloner that it did not answer, or answered after an outage.
 * Only pings decide, because a call may fail for reasons of its own.
 */
export function watchDaemon(cloner: ImageCloner, deps: DaemonWatchDeps): ImageCloner {
  const { docker, onAnswer, logger } = deps;
  let isUp = true;
  let isPinging = false;

  async function ping(): Promise<void> {
    // Calls that fail together cause one ping.
    if (isPinging) return;
    isPinging = true;
    try {
      await dial(docker, {
        path: '/_ping',
        method: 'GET',
        statusCodes: { 200: true },
        abortSignal: AbortSignal.timeout(pingTimeoutMs),
      });
      if (!isUp) logger.info({}, 'the docker daemon answers again');
      isUp = true;
    } catch (error) {
      if (isUp) logger.warn({ code: describeCode(error) }, 'the docker daemon does not answer');
      isUp = false;
    }
    isPinging = false;
    onAnswer(isUp);
  }

  async function observe<Result>(call: Promise<Result>): Promise<Result> {
    try {
      const result = await call;
      if (!isUp) void ping();
      return result;
    } catch (error) {
      if (error instanceof CloneError && error.code === 'CLONER_UNAVAILABLE') void ping();
      throw error;
    }
  }

  void ping();
  setInterval(() => void ping(), pingIntervalMs).unref();

  return {
    ...cloner,
    resolve: (...args) => observe(cloner.resolve(...args)),
    copy: (...args) => observe(cloner.copy(...args)),
  };
}
