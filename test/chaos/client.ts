import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, sendRequest } from '../real/support/request.ts';
import { parseVerdict, type Verdict } from './answer.ts';
import { isPending } from './audit/refused.ts';
import type { Ledger } from './ledger.ts';
import type { Replica } from './replica.ts';
import type { Write } from './workload.ts';

/** What became of one write. */
export type WriteResult =
  | { readonly status: 'admitted' | 'denied'; readonly verdict: Verdict; readonly askedAt: number }
  /** client-go has given up after ten times. */
  | { readonly status: 'given-up'; readonly verdict: Verdict; readonly askedAt: number };

export interface Client {
  write(write: Write, stored?: unknown): Promise<WriteResult>;
}

export interface ClientOptions {
  readonly replicas: readonly [Replica, ...Replica[]];
  readonly ledger: Ledger;
  /** Everything that anybody was answered, for the search for secrets. */
  readonly onAnswer: (answer: Answer) => void;
  /** The same where it was understood, also of a write that is to come back. */
  readonly onVerdict: (write: Write, verdict: Verdict) => void;
  /** How much faster than in a cluster time goes by between two attempts. */
  readonly haste: number;
}

/** client-go repeats a write that was told to come back, ten times (rest/with_retry.go). */
const maxRetries = 10;
/**
 * The API server has no answer then, and whoever wrote tries again: for longer than a replica may take to finish its copies, since
 * all of them may have been told to go.
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
  let turn = 0;

  function next(): Replica {
    const up = replicas.filter((replica) => replica.isUp());
    turn += 1;
    return up[turn % Math.max(1, up.length)] ?? replicas[0];
  }

  /** `undefined` where the caller did not wait, or a replica died over it. */
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
        // Two cores, three replicas and two registries: what is late by less is late because of them.
        Date.now() - startedAt < seconds * 1_000 + 3_000,
        () => `write ${write.nth}: ${Date.now() - startedAt} ms, and had ${write.timeout}`,
      );
      if (answer.status !== 200) {
        ledger.broken('every review has an answer', `HTTP ${answer.status}: ${answer.body}`);
        return undefined;
      }
      const verdict = parseVerdict(answer.body);
      onVerdict(write, verdict);
      return verdict;
    } catch (error) {
      if (hangUpAfterMs !== undefined) return undefined;
      const isGone = !replica.isUp() || replica.lastEndedAt() >= startedAt - 500;
      ledger.check(
        'every review has an answer, unless its replica was killed',
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

/** The cluster's own controllers are told the same as a plain refusal, and come back by themselves. */
function isControllersRetry({ isController }: Write, { code, message }: Verdict): boolean {
  return isController && code === 403 && isPending(message);
}

function checkRetry(
  { reason, message, retryAfterSeconds: seconds }: Verdict,
  ledger: Ledger,
): void {
  ledger.check(
    'who is told to come back is told when, and why',
    reason === 'Timeout' &&
      message !== '' &&
      seconds !== undefined &&
      Number.isInteger(seconds) &&
      seconds >= 1 &&
      seconds <= 10,
    () => JSON.stringify({ reason, message, seconds }),
  );
}
