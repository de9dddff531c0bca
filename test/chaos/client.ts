import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, sendRequest } from '../real/support/request.ts';
import { parseVerdict, type Verdict } from './answer.ts';
import { isPending } from './audit/refused.ts';
import type { Ledger } from './ledger.ts';
import type { Replica } from './servers/replica.ts';
import type { Write } from './workload.ts';

/** The outcome of a write. */
type WriteResult =
  | { readonly status: 'admitted' | 'denied'; readonly verdict: Verdict; readonly askedAt: number }
  /** client-go gave up after ten retries. */
  | { readonly status: 'given-up'; readonly verdict: Verdict; readonly askedAt: number };

export interface Client {
  write(write: Write, stored?: unknown): Promise<WriteResult>;
}

export interface ClientOptions {
  readonly replicas: readonly [Replica, ...Replica[]];
  readonly ledger: Ledger;
  /** Receives every response, for the search for secrets. */
  readonly onAnswer: (answer: Answer) => void;
  /** Receives every parsed response, also of a write that is to be retried. */
  readonly onVerdict: (write: Write, verdict: Verdict) => void;
  /** Divides the pause between two attempts. */
  readonly haste: number;
}

/** client-go retries a write ten times on Retry-After (rest/with_retry.go). */
const maxRetries = 10;
/**
 * The client retries when no replica answers, for longer than a replica may take to finish its copies: all of them may be
 * shutting down.
 */
const maxUnreachable = 1_200;
const controllersPauseMs = 3_000;

export function createClient({
  replicas,
  ledger,
  onAnswer,
  onVerdict,
  haste,
}: ClientOptions): Client {
  let calls = 0;

  function next(): Replica {
    const up = replicas.filter((replica) => replica.isUp());
    calls += 1;
    return up[calls % Math.max(1, up.length)] ?? replicas[0];
  }

  /** `undefined` if the caller hung up or the replica was killed. */
  async function ask(
    replica: Replica,
    write: Write,
    stored: unknown,
    hangUpAfterMs: number | undefined,
  ): Promise<Verdict | undefined> {
    const startedAt = Date.now();
    const seconds = Number.parseInt(write.timeout, 10);
    try {
      const answer = await sendRequest(`${replica.url}/clone-image?timeout=${write.timeout}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(write.toBody(stored)),
        signal: AbortSignal.timeout(hangUpAfterMs ?? seconds * 1_000 + 20_000),
      });
      onAnswer(answer);
      ledger.check(
        'a review is answered within its timeout',
        // Two cores run three replicas and two registries, which explains a smaller delay.
        Date.now() - startedAt < seconds * 1_000 + 3_000,
        () => `write ${write.nth}: ${Date.now() - startedAt} ms, and had ${write.timeout}`,
      );
      if (answer.status !== 200) {
        ledger.broken('every review is answered', `HTTP ${answer.status}: ${answer.body}`);
        return undefined;
      }
      const verdict = parseVerdict(answer.body);
      onVerdict(write, verdict);
      return verdict;
    } catch (error) {
      if (hangUpAfterMs !== undefined) return undefined;
      const isGone = !replica.isUp() || replica.lastEndedAt() >= startedAt - 500;
      ledger.check(
        'every review is answered unless its replica was killed',
        isGone,
        () => `write ${write.nth} to ${replica.name}: ${String(error)}`,
      );
      return undefined;
    }
  }

  return {
    async write(write, stored) {
      let hangUpAfterMs = write.hangUpAfterMs;
      let unreachable = 0;
      for (let retries = 0; ; ) {
        const askedAt = Date.now();
        const verdict = await ask(next(), write, stored, hangUpAfterMs);
        if (verdict === undefined) {
          ledger.count(hangUpAfterMs === undefined ? 'unanswered' : 'hung up');
          hangUpAfterMs = undefined;
          unreachable += 1;
          if (unreachable > maxUnreachable) throw new Error('no replica answers any more');
          await delay(100);
          continue;
        }
        if (verdict.allowed) return { status: 'admitted', verdict, askedAt };
        const comesBack = verdict.code === 504 || isControllersRetry(write, verdict);
        if (!comesBack) return { status: 'denied', verdict, askedAt };
        ledger.count('retried');
        if (verdict.code === 504) checkRetry(verdict, ledger);
        if (retries === maxRetries) return { status: 'given-up', verdict, askedAt };
        retries += 1;
        const pauseMs =
          verdict.code === 504 ? (verdict.retryAfterSeconds ?? 1) * 1_000 : controllersPauseMs;
        await delay(pauseMs / haste);
      }
    },
  };
}

/** The cluster's controllers receive a plain refusal instead, and retry on their own. */
function isControllersRetry({ isController }: Write, { code, message }: Verdict): boolean {
  return isController && code === 403 && isPending(message);
}

function checkRetry(
  { reason, message, retryAfterSeconds: seconds }: Verdict,
  ledger: Ledger,
): void {
  ledger.check(
    'a refusal that asks for a retry says when and why',
    reason === 'Timeout' &&
      message !== '' &&
      seconds !== undefined &&
      Number.isInteger(seconds) &&
      seconds >= 1 &&
      seconds <= 10,
    () => JSON.stringify({ reason, message, seconds }),
  );
}
