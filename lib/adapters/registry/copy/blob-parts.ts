import { createCooldown } from '../../../util/cooldown.ts';
import { type OpenPart, partError, readPart } from './read-part.ts';

/** A blob whose rest is being read as one stream. */
export interface RunningBlob {
  /** Host of its registry. */
  readonly host: string;
  /** Bytes in all. */
  readonly size: number;
  /** Where the stream begins. */
  readonly offset: number;
  readonly openPart: OpenPart;
  /** Called when parts are requested. */
  readonly onParts: () => void;
  readonly signal: AbortSignal;
}

/**
 * Reads large blobs over several connections at once. A blob begins as one stream; if its connection is slow, parts further on are
 * requested beside it and yielded in order. If the registry does not serve them as requested, the stream goes on.
 */
export interface BlobParts {
  speedUp(stream: AsyncIterable<Uint8Array>, blob: RunningBlob): AsyncGenerator<Uint8Array>;
  /** Requests no parts from a host for a while. */
  pause(host: string): void;
}

const mebibyte = 1024 * 1024;
/** The rate is measured over this much. */
const probeBytes = mebibyte;
/** Slower connections are limited by their distance, or each by its server. */
const fastBytesPerMs = (24 * mebibyte) / 1000;
/** The stream moves this much while the first parts arrive. */
const headStartBytes = 3 * mebibyte;
const partBytes = 2 * mebibyte;
/** A shorter rest is not worth new connections. */
const minRestBytes = headStartBytes + 2 * partBytes;
const maxPartsPerBlob = 6;
/** Parts that wait in memory for their turn, of all blobs together. */
const maxWaitingParts = 10;
/** So that a registry whose parts do not arrive leaves places to others. */
const maxWaitingPartsPerHost = 5;
/** A blob that could have only one part at a time is faster as one stream. */
const minFreePlaces = 2;
/** Shorter than a part, so that hashing one does not hold up reviews. */
const yieldedBytes = 256 * 1024;
const pauseMs = 600_000;
const maxHosts = 1_000;

interface Part {
  readonly bytes: Promise<Uint8Array>;
  /** Is written as soon as it arrives, so it takes no place among those that wait. */
  readonly isFirst: boolean;
}

/** Parts from `start` to the end of the blob. */
interface Parts {
  readonly start: number;
  hasFailed(): boolean;
  read(): AsyncGenerator<Uint8Array>;
  end(): void;
}

export function createBlobParts({ now }: { readonly now: () => number }): BlobParts {
  const pauses = createCooldown({ now, maxMs: pauseMs, maxKeys: maxHosts });
  /** Places that are taken, by host. */
  const taken = new Map<string, number>();

  const pause = (host: string): void => pauses.start(host, pauseMs);

  function freePlaces(host: string): number {
    const all = [...taken.values()].reduce((sum, count) => sum + count, 0);
    return Math.min(maxWaitingParts - all, maxWaitingPartsPerHost - (taken.get(host) ?? 0));
  }

  function changePlaces(host: string, change: 1 | -1): void {
    const count = (taken.get(host) ?? 0) + change;
    if (count === 0) taken.delete(host);
    else taken.set(host, count);
  }

  function openParts(start: number, blob: RunningBlob): Parts {
    const { host, size, openPart, signal } = blob;
    const ended = new AbortController();
    const within = AbortSignal.any([signal, ended.signal]);
    const options = { openPart, onRefusal: () => pause(host), now, signal: within };
    const queue: Part[] = [];
    let next = start;

    function fill(): void {
      while (next < size && queue.length < maxPartsPerBlob) {
        const isFirst = queue.length === 0;
        if (!isFirst && freePlaces(host) <= 0) return;
        if (!isFirst) changePlaces(host, 1);
        const end = Math.min(next + partBytes, size);
        const bytes = readPart({ start: next, end }, options);
        // The reader throws it, or goes on with the stream.
        bytes.catch((error: unknown) => ended.abort(error));
        queue.push({ bytes, isFirst });
        next = end;
      }
    }

    function free({ isFirst }: Part): void {
      if (!isFirst) changePlaces(host, -1);
    }

    fill();
    return {
      start,
      hasFailed: () => ended.signal.aborted,
      async *read() {
        for (;;) {
          const part = queue[0];
          if (part === undefined) return;
          const bytes = await part.bytes.catch((error: unknown) => {
            throw partError('failed', error);
          });
          for (let at = 0; at < bytes.length; at += yieldedBytes) {
            yield bytes.subarray(at, at + yieldedBytes);
          }
          queue.shift();
          free(part);
          fill();
        }
      },
      end() {
        ended.abort();
        for (const part of queue.splice(0)) free(part);
      },
    };
  }

  async function* speedUp(
    stream: AsyncIterable<Uint8Array>,
    blob: RunningBlob,
  ): AsyncGenerator<Uint8Array> {
    const { host, size, offset } = blob;
    let at = offset;
    let waitedMs = 0;
    let isMeasured = false;
    let parts: Parts | undefined;

    function isSlow(): boolean {
      isMeasured = true;
      const isWorthIt = size - at >= minRestBytes && freePlaces(host) >= minFreePlaces;
      const isAllowed = pauses.remainingMs(host) === 0;
      return isWorthIt && isAllowed && (at - offset) / waitedMs < fastBytesPerMs;
    }

    /** Yields the stream as far as the parts, or to its end. */
    async function* readStream(): AsyncGenerator<Uint8Array> {
      let since = now();
      for await (const chunk of stream) {
        waitedMs += now() - since;
        const end = parts?.hasFailed() === false ? parts.start : Number.POSITIVE_INFINITY;
        const isLast = at + chunk.length >= end;
        const wanted = isLast ? chunk.subarray(0, end - at) : chunk;
        yield wanted;
        at += wanted.length;
        if (isLast) return;
        if (!isMeasured && at - offset >= probeBytes && isSlow()) {
          blob.onParts();
          parts = openParts(at + headStartBytes, blob);
        }
        since = now();
      }
    }

    try {
      yield* readStream();
      if (at < size && at === parts?.start && !parts.hasFailed()) yield* parts.read();
    } finally {
      parts?.end();
    }
  }

  return { speedUp, pause };
}
