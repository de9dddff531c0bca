import { CloneError, isFailureOf, registryCode, type Side } from '../../errors.ts';
import { withDeadline } from '../../util/abort.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';
import { formatDuration } from '../../util/duration.ts';

/** One question to a registry, and how long it may take. */
export interface GuardedCall {
  readonly side: Side;
  readonly domain: string;
  /** What it is about: one image that cannot be served is no outage, two are. */
  readonly image: string;
  /** Has it asked also while others wait for the registry to come back, though never beside somebody else's question. */
  readonly isInteractive: boolean;
  readonly timeoutMs: number;
  /** While it is known to be down. @default timeoutMs */
  readonly shortTimeoutMs?: number;
  /** What a timeoutError of so long is called. */
  readonly timeoutError: (ms: number) => CloneError;
  readonly signal: AbortSignal;
}

/**
 * Registries that are down are probed, not hammered: once it is known, one question at a time, after pauses that grow, and
 * all others are answered at once.
 */
export interface CircuitBreaker {
  /** Throws what the question throws, or `CloneError` `…_UNAVAILABLE` where it is not asked. */
  ask<Answer>(
    question: GuardedCall,
    work: (signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer>;
}

interface Trouble {
  readonly image: string;
  /** Until then it may be that image alone. */
  isOutage: boolean;
  wasSilent: boolean;
  failedAt: number;
  pauseMs: number;
  dueAt: number;
  probe?: Promise<unknown>;
}

const firstPauseMs = 2_000;
const maxPauseMs = 30_000;
/** Whom we gave less has not been silent. */
const minSilenceMs = 1_000;
/** Two failures that lie further apart have nothing to do with each other. */
const relatedMs = 60_000;
const maxTroubles = 1_000;
/** With any of these the registry answered, so that it is not down. */
const answers = ['NOT_FOUND', 'DENIED', 'RATE_LIMITED', 'REFUSED', 'UNSUPPORTED'] as const;

export function createCircuitBreaker({ now }: { readonly now: () => number }): CircuitBreaker {
  const troubles = createBoundedMap<string, Trouble>(maxTroubles);

  async function ask<Answer>(
    question: GuardedCall,
    work: (signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer> {
    const { timeoutMs, shortTimeoutMs = timeoutMs, isInteractive, signal } = question;
    const trouble = troubles.get(keyOf(question));
    if (trouble?.isOutage !== true) return await run(question, timeoutMs, work);
    const isDue = now() >= trouble.dueAt;
    if (trouble.probe === undefined && (isDue || isInteractive)) {
      const probe = run(question, isDue ? timeoutMs : shortTimeoutMs, work, isDue);
      const settled = probe.catch(() => undefined);
      trouble.probe = settled;
      void settled.then(() => delete trouble.probe);
      return await probe;
    }
    const { probe } = trouble;
    if (probe === undefined || !isInteractive) throw toShortAnswer(question, trouble);
    const startedAt = now();
    const error = (): CloneError => toShortAnswer(question, trouble);
    await withDeadline({ ms: shortTimeoutMs, error, signal }, () => probe);
    if (troubles.get(keyOf(question)) === trouble) throw toShortAnswer(question, trouble);
    return await run(question, Math.max(0, timeoutMs - (now() - startedAt)), work);
  }

  async function run<Answer>(
    question: GuardedCall,
    ms: number,
    work: (signal: AbortSignal) => Promise<Answer>,
    isDue = false,
  ): Promise<Answer> {
    let timeoutError: CloneError | undefined;
    const error = (): CloneError => {
      timeoutError = question.timeoutError(ms);
      return timeoutError;
    };
    try {
      const answer = await withDeadline({ ms, error, signal: question.signal }, work);
      troubles.delete(keyOf(question));
      return answer;
    } catch (failure) {
      if (isFailureOf(question.side, failure, answers)) troubles.delete(keyOf(question));
      if (isFailureOf(question.side, failure, ['UNAVAILABLE'])) {
        const isSilence = failure === timeoutError;
        if (!isSilence || ms >= minSilenceMs) note(question, isSilence, isDue);
      }
      throw failure;
    }
  }

  function note(question: GuardedCall, isSilence: boolean, isDue: boolean): void {
    const key = keyOf(question);
    const known = troubles.get(key);
    const at = now();
    if (known?.isOutage === true) {
      // Those who asked before it was known say nothing new, and a person's impatience must not put off the next probe.
      if (!isDue) return;
      known.pauseMs = Math.min(maxPauseMs, known.pauseMs * 2);
      known.failedAt = at;
      known.dueAt = at + known.pauseMs;
      known.wasSilent = isSilence;
      return;
    }
    const isSecond =
      known !== undefined && known.image !== question.image && at - known.failedAt < relatedMs;
    troubles.set(key, {
      image: question.image,
      isOutage: isSilence || isSecond,
      wasSilent: isSilence,
      failedAt: at,
      pauseMs: firstPauseMs,
      dueAt: at + firstPauseMs,
    });
  }

  function toShortAnswer({ side, domain }: GuardedCall, trouble: Trouble): CloneError {
    const { failedAt, dueAt, wasSilent, probe } = trouble;
    const name = side === 'source' ? domain : `the backup registry ${domain}`;
    const what = wasSilent ? 'did not answer' : 'gave no usable answer';
    const leftMs = Math.max(0, dueAt - now());
    const next =
      probe === undefined
        ? `asked again in ${formatDuration(leftMs)}`
        : 'and is being asked right now';
    const message = `${name} ${what} ${formatDuration(now() - failedAt)} ago, ${next}`;
    return new CloneError(registryCode(side, 'UNAVAILABLE'), message, { retryAfterMs: leftMs });
  }

  return { ask };
}

function keyOf({ side, domain }: GuardedCall): string {
  return `${side} ${domain}`;
}
