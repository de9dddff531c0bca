import { createCooldown } from '../../../util/cooldown.ts';
import { isTransient, RegistryError } from '../errors/index.ts';

/** A blob whose rest is being read as one stream. */
export interface RunningBlob {
  /** Host of its registry. */
  readonly host: string;
  /** Bytes in all. */
  readonly size: number;
  /** Where the stream begins. */
  readonly offset: number;
  /** The bytes from `start` to before `end`; `undefined` if the registry serves something else. */
  readonly openPart: (
    range: ByteRange,
    signal: AbortSignal,
  ) => Promise<AsyncIterable<Uint8Array> | undefined>;
  /** Called when parts are requested. */
  readonly onParts: () => void;
  readonly signal: AbortSignal;
}

export interface ByteRange {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
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
/** Of all blobs together: parts wait in memory for their turn. */
const maxParts = 10;
const pauseMs = 600_000;
const maxHosts = 1_000;
const step = 'reading a layer';

interface Part {
  readonly chunks: Promise<readonly Uint8Array[]>;
  /** The first part of a blob needs no place among those of all blobs. */
  readonly hasPlace: boolean;
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
  let places = maxParts;

  const pause = (host: string): void => pauses.start(host, pauseMs);

  function openParts(start: number, { host, size, openPart, signal }: RunningBlob): Parts {
    const ended = new AbortController();
    const within = AbortSignal.any([signal, ended.signal]);
    const queue: Part[] = [];
    let next = start;

    async function readPart(range: ByteRange): Promise<readonly Uint8Array[]> {
      try {
        const body = await openPart(range, within).catch((error: unknown) => {
          if (!isTransient(error)) pause(host);
          throw error;
        });
        if (body === undefined) {
          pause(host);
          throw new RegistryError('REFUSED', `${step}: it served another range than requested`);
        }
        return await collect(body, range.end - range.start);
      } catch (error) {
        ended.abort(error);
        throw error;
      }
    }

    function fill(): void {
      while (next < size && queue.length < maxPartsPerBlob) {
        const hasPlace = queue.length > 0;
        if (hasPlace && places === 0) return;
        if (hasPlace) places -= 1;
        const end = Math.min(next + partBytes, size);
        const chunks = readPart({ start: next, end });
        // The reader throws it, or goes on with the stream.
        chunks.catch(() => undefined);
        queue.push({ chunks, hasPlace });
        next = end;
      }
    }

    function free({ hasPlace }: Part): void {
      if (hasPlace) places += 1;
    }

    fill();
    return {
      start,
      hasFailed: () => ended.signal.aborted,
      async *read() {
        for (;;) {
          const part = queue[0];
          if (part === undefined) return;
          const chunks = await part.chunks.catch((error: unknown) => {
            // The caller resumes where it is.
            const message = `${step}: a part of it failed`;
            throw new RegistryError('UNAVAILABLE', message, { cause: error, isTransient: true });
          });
          yield* chunks;
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
      const isWorthIt = size - at >= minRestBytes && pauses.remainingMs(host) === 0;
      return isWorthIt && (at - offset) / waitedMs < fastBytesPerMs;
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

async function collect(
  body: AsyncIterable<Uint8Array>,
  length: number,
): Promise<readonly Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  let left = length;
  for await (const chunk of body) {
    left -= chunk.length;
    if (left < 0) break;
    chunks.push(chunk);
  }
  if (left === 0) return chunks;
  const message = `${step}: a part of it has another length than requested`;
  throw new RegistryError('UNAVAILABLE', message, { isTransient: true });
}
