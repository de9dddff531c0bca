import {
  CloneError,
  describeRegistry,
  isFailureOf,
  registryCode,
  type Side,
} from '../../errors.ts';
import { withDeadline } from '../../util/abort.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';
import { formatDuration } from '../../util/quantity.ts';

/** One call to a registry, and how long it may take. */
export interface GuardedCall {
  readonly side: Side;
  readonly domain: string;
  /** The image of the call: failures of one image are no outage, failures of two are. */
  readonly image: string;
  /** Whether the call may probe an open circuit early, though never beside another probe. */
  readonly isInteractive: boolean;
  readonly timeoutMs: number;
  /** The timeout while the circuit is open. @default timeoutMs */
  readonly shortTimeoutMs?: number;
  /** Makes the error of a call that took `ms` without an answer. */
  readonly timeoutError: (ms: number) => CloneError;
  readonly signal: AbortSignal;
}

/**
 * One circuit per registry. After an outage it is open: one probe runs at a time, after growing pauses, and every other call
 * fails at once.
 */
export interface CircuitBreaker {
  /** Rejects as `work` does, or with `CloneError` `…_UNAVAILABLE` if the circuit is open. */
  call<Answer>(call: GuardedCall, work: (signal: AbortSignal) => Promise<Answer>): Promise<Answer>;
  isOpen(registry: Pick<GuardedCall, 'side' | 'domain'>): boolean;
  /** One sentence for each registry whose circuit is open. */
  describe(): readonly string[];
}

interface Circuit extends Pick<GuardedCall, 'side' | 'domain'> {
  readonly image: string;
  /** `false` after the first failure, unless it is a timeout: the image alone may be at fault. */
  isOpen: boolean;
  timedOut: boolean;
  failedAt: number;
  pauseMs: number;
  probeAt: number;
  probe?: Promise<unknown>;
}

const firstPauseMs = 2_000;
const maxPauseMs = 30_000;
/** A timeout shorter than this does not count as an outage. */
const minTimeoutMs = 1_000;
/** Failures further apart are unrelated. */
const relatedMs = 60_000;
const maxCircuits = 1_000;
/** With any of these reasons the registry answered, so it is not down. */
const answers = ['NOT_FOUND', 'DENIED', 'RATE_LIMITED', 'REFUSED', 'UNSUPPORTED'] as const;

export function createCircuitBreaker({ now }: { readonly now: () => number }): CircuitBreaker {
  const circuits = createBoundedMap<string, Circuit>(maxCircuits);

  async function call<Answer>(
    guarded: GuardedCall,
    work: (signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer> {
    const { timeoutMs, shortTimeoutMs = timeoutMs, isInteractive, signal } = guarded;
    const circuit = circuits.get(keyOf(guarded));
    if (circuit?.isOpen !== true) return await run(guarded, timeoutMs, work);
    const isDue = now() >= circuit.probeAt;
    if (circuit.probe === undefined && (isDue || isInteractive)) {
      const probe = run(guarded, isDue ? timeoutMs : shortTimeoutMs, work, isDue);
      const settled = probe.catch(() => undefined);
      circuit.probe = settled;
      void settled.then(() => delete circuit.probe);
      return await probe;
    }
    const { probe } = circuit;
    if (probe === undefined || !isInteractive) throw openError(guarded, circuit);
    const startedAt = now();
    const error = (): CloneError => openError(guarded, circuit);
    await withDeadline({ ms: shortTimeoutMs, error, signal }, () => probe);
    if (circuits.get(keyOf(guarded)) === circuit) throw openError(guarded, circuit);
    return await run(guarded, Math.max(0, timeoutMs - (now() - startedAt)), work);
  }

  async function run<Answer>(
    guarded: GuardedCall,
    ms: number,
    work: (signal: AbortSignal) => Promise<Answer>,
    isDue = false,
  ): Promise<Answer> {
    let timeout: CloneError | undefined;
    const error = (): CloneError => {
      timeout = guarded.timeoutError(ms);
      return timeout;
    };
    try {
      const answer = await withDeadline({ ms, error, signal: guarded.signal }, work);
      circuits.delete(keyOf(guarded));
      return answer;
    } catch (failure) {
      if (isFailureOf(guarded.side, failure, answers)) circuits.delete(keyOf(guarded));
      if (isFailureOf(guarded.side, failure, ['UNAVAILABLE'])) {
        const timedOut = failure === timeout;
        if (!timedOut || ms >= minTimeoutMs) noteOutage(guarded, timedOut, isDue);
      }
      throw failure;
    }
  }

  function noteOutage(guarded: GuardedCall, timedOut: boolean, isDue: boolean): void {
    const key = keyOf(guarded);
    const known = circuits.get(key);
    const at = now();
    if (known?.isOpen === true) {
      // Calls from before the circuit opened, and early probes of interactive callers, do not delay the next probe.
      if (!isDue) return;
      known.pauseMs = Math.min(maxPauseMs, known.pauseMs * 2);
      known.failedAt = at;
      known.probeAt = at + known.pauseMs;
      known.timedOut = timedOut;
      return;
    }
    const isSecond =
      known !== undefined && known.image !== guarded.image && at - known.failedAt < relatedMs;
    circuits.set(key, {
      side: guarded.side,
      domain: guarded.domain,
      image: guarded.image,
      isOpen: timedOut || isSecond,
      timedOut,
      failedAt: at,
      pauseMs: firstPauseMs,
      probeAt: at + firstPauseMs,
    });
  }

  function openError(
    { side, domain }: Pick<GuardedCall, 'side' | 'domain'>,
    circuit: Circuit,
  ): CloneError {
    const { failedAt, probeAt, timedOut, probe } = circuit;
    const name = describeRegistry(side, domain);
    const what = timedOut ? 'did not answer' : 'gave no usable answer';
    const leftMs = Math.max(0, probeAt - now());
    const pause = leftMs > 0 ? `, next attempt in ${formatDuration(leftMs)}` : '';
    const next = probe === undefined ? pause : ', an attempt is running';
    const message = `${name} ${what} ${formatDuration(now() - failedAt)} ago${next}`;
    return new CloneError(registryCode(side, 'UNAVAILABLE'), message, {
      retryAfterMs: leftMs,
      isUnreachable: true,
    });
  }

  return {
    call,
    isOpen: (registry) => circuits.get(keyOf(registry))?.isOpen === true,
    describe: () =>
      [...circuits.entries()].flatMap(([, circuit]) =>
        circuit.isOpen ? openError(circuit, circuit).message : [],
      ),
  };
}

function keyOf({ side, domain }: Pick<GuardedCall, 'side' | 'domain'>): string {
  return `${side} ${domain}`;
}
