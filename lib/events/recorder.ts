import type {
  EventObject,
  EventResult,
  EventSink,
  KubernetesEvent,
  Logger,
} from '../ports/index.ts';
import { createBoundedMap } from '../util/bounded-map.ts';
import { toPrintable } from '../util/printable.ts';
import { createTokenBucket, type TokenBucket } from '../util/token-bucket.ts';

/** One thing to tell. */
interface Telling extends Pick<KubernetesEvent, 'type' | 'reason' | 'message'> {
  readonly namespace: string;
  readonly object: EventObject;
}

/** Writes Events one after the other behind the reviews. */
export interface EventRecorder {
  /** Returns at once; an Event that exceeds a limit is dropped. */
  record(telling: Telling): void;
}

export interface EventRecorderDeps {
  /** Opens the sink at the first Event. */
  readonly open: () => Promise<EventSink>;
  /** A monotonic clock. */
  readonly now: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly logger: Logger;
  /** For a metric. */
  readonly onResult?: (result: 'written' | 'dropped' | 'failed') => void;
}

// The limits of client-go's recorder (tools/record/events_cache.go), per namespace rather than per object: who can create objects can
// create many.
const burst = 25;
const refillMs = 30_000;
/** All namespaces together, so that they do not fill the cluster's store. */
const totalBurst = 100;
const totalRefillMs = 1_000;
/** The same Event within this time is counted, not repeated. */
const aggregateMs = 600_000;
const maxQueued = 100;
const maxRemembered = 1_000;
/** The API server's limit for a message is 1024 bytes. */
const maxMessageBytes = 1_024;
/** While the API server does not answer. */
const pauseMs = 60_000;
const forbiddenMs = 600_000;
/** `NAME.HEX`, as client-go names them; 253 characters at most. */
const maxNameLength = 220;

interface Known {
  readonly event: KubernetesEvent;
  readonly at: number;
}

export function createEventRecorder(deps: EventRecorderDeps): EventRecorder {
  const { open, now, wallClock, logger, onResult = () => undefined } = deps;
  const known = createBoundedMap<string, Known>(maxRemembered);
  const buckets = createBoundedMap<string, TokenBucket>(maxRemembered);
  const total = createTokenBucket({ capacity: totalBurst, refillMs: totalRefillMs, now });
  const queue: Telling[] = [];
  let sink: Promise<EventSink> | undefined;
  let isWriting = false;
  let pausedUntil = Number.NEGATIVE_INFINITY;
  const forbidden = createBoundedMap<string, number>(maxRemembered);
  let isToldForbidden = false;
  let sequence = 0;

  function mayWrite(namespace: string): boolean {
    const blockedUntil = Math.max(pausedUntil, forbidden.get(namespace) ?? 0);
    if (now() < blockedUntil || queue.length >= maxQueued) return false;
    const bucket = buckets.get(namespace) ?? createTokenBucket({ capacity: burst, refillMs, now });
    buckets.set(namespace, bucket);
    return bucket.take() && total.take();
  }

  async function drain(): Promise<void> {
    if (isWriting) return;
    isWriting = true;
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const result = await write(next);
      onResult(result === 'written' || result === 'absent' ? 'written' : 'failed');
      if (result === 'forbidden') forbid(next.namespace);
      if (result === 'failed') {
        pausedUntil = now() + pauseMs;
        queue.length = 0;
        logger.warn({ seconds: pauseMs / 1000 }, 'Events cannot be written for now');
      }
    }
    isWriting = false;
  }

  /** Either the right is missing, or this namespace is being deleted. */
  function forbid(namespace: string): void {
    forbidden.set(namespace, now() + forbiddenMs);
    if (isToldForbidden) return;
    isToldForbidden = true;
    logger.warn(
      { namespace },
      'no right to create Events: run deploy again, which applies knative/events.yaml, or set EVENTS=false',
    );
  }

  async function write(telling: Telling): Promise<EventResult> {
    try {
      sink ??= open();
      const opened = await sink;
      const key = keyOf(telling);
      const last = known.get(key);
      const at = wallClock();
      if (last !== undefined && now() - last.at < aggregateMs) {
        const event = { ...last.event, count: last.event.count + 1, lastAt: at };
        const result = await opened.repeat(event);
        if (result === 'written') known.set(key, { event, at: now() });
        if (result !== 'absent') return result;
      }
      const event = toEvent(telling, at);
      const result = await opened.create(event);
      if (result === 'written') known.set(key, { event, at: now() });
      return result;
    } catch (error) {
      sink = undefined;
      logger.warn({ err: error }, 'Events cannot be written');
      return 'failed';
    }
  }

  function toEvent(
    { namespace, object, type, reason, message }: Telling,
    at: number,
  ): KubernetesEvent {
    sequence += 1;
    const suffix = `${at.toString(16)}${sequence.toString(16)}`;
    const name = `${object.name.slice(0, maxNameLength).replace(/[^a-z0-9]+$/, '')}.${suffix}`;
    return { name, namespace, object, type, reason, message, count: 1, firstAt: at, lastAt: at };
  }

  return {
    record(telling) {
      const message = cutBytes(toPrintable(telling.message));
      if (!mayWrite(telling.namespace)) {
        onResult('dropped');
        return;
      }
      queue.push({ ...telling, message });
      void drain();
    },
  };
}

function keyOf({ namespace, object, reason, message }: Telling): string {
  return JSON.stringify([namespace, object.kind, object.name, object.uid, reason, message]);
}

function cutBytes(text: string): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= maxMessageBytes) return text;
  // `…` has three bytes; a character that was cut in half is dropped.
  const cut = new TextDecoder().decode(bytes.slice(0, maxMessageBytes - 3)).replace(/\ufffd+$/, '');
  return `${cut}…`;
}
