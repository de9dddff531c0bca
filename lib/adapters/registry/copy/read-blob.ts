import { createHash } from 'node:crypto';
import { algorithmOf } from '../../../image/digest.ts';
import { monotonicClock } from '../../../util/clock.ts';
import type { Descriptor } from '../client/index.ts';
import { isTransient, RegistryError, toConnectionError } from '../errors/index.ts';

export interface BlobReaderOptions {
  readonly descriptor: Pick<Descriptor, 'digest' | 'size'>;
  readonly open: (offset: number) => Promise<AsyncIterable<Uint8Array>>;
  readonly onBytes: (bytes: number) => void;
  /** Waits before a connection is resumed. */
  readonly backoff: (attempt: number) => Promise<void>;
  /** Resolves when that many bytes may be hashed and written. */
  readonly giveWay: (bytes: number) => Promise<void>;
  /** Translates errors of the source, the only ones that this throws. */
  readonly toError: (error: unknown) => unknown;
  /** A monotonic clock. */
  readonly now?: () => number;
}

/** After this much progress, the count of resumes starts again. */
const progressBytes = 1024 * 1024;
const maxResumes = 3;

/** 4 KiB/s: slower than any link that images are pulled through, even if a dozen layers share it. */
const minBytesPerWindow = 256 * 1024;
const windowMs = 60_000;

/**
 * Streams a blob and resumes broken connections. It yields the last chunk only if size and digest are right, so corrupt
 * content never becomes a blob, even in a registry that does not check.
 */
export async function* readBlob(options: BlobReaderOptions): AsyncGenerator<Uint8Array> {
  const { descriptor, open, onBytes, backoff, giveWay, toError } = options;
  const { now = monotonicClock.now } = options;
  const { digest, size } = descriptor;
  const algorithm = algorithmOf(digest);
  const hash = createHash(algorithm);
  let stream: AsyncIterator<Uint8Array> | undefined;
  let length = 0;
  let resumes = 0;
  let resumedAt = 0;
  const recordRead = createThroughputFloor('reading a layer: it sends');
  const recordWritten = createThroughputFloor('writing a layer: it accepts');

  /** Resumes only reading: an error of the consumer ends the generator at its `yield`. */
  async function read(): Promise<Uint8Array> {
    for (;;) {
      try {
        // The time to open does not count: it can contain a Retry-After.
        stream ??= (await open(length))[Symbol.asyncIterator]();
        const since = now();
        const next = await stream.next();
        recordRead(now() - since, next.done === true ? 0 : next.value.length);
        if (next.done !== true) return next.value;
        const message = 'reading a layer: the connection was reset';
        throw new RegistryError('UNAVAILABLE', message, { isTransient: true });
      } catch (error) {
        stream = undefined;
        resumes = length - resumedAt >= progressBytes ? 1 : resumes + 1;
        resumedAt = length;
        if (!isTransient(error) || resumes > maxResumes) {
          throw toError(toConnectionError('reading a layer', error));
        }
        await backoff(resumes);
      }
    }
  }

  try {
    while (length < size) {
      const chunk = await read();
      if (chunk.length === 0) continue;
      length += chunk.length;
      if (length > size) throw toError(corrupt('it is longer than the manifest says'));
      await giveWay(chunk.length);
      hash.update(chunk);
      if (length === size && `${algorithm}:${hash.digest('hex')}` !== digest) {
        throw toError(corrupt('its content does not match its digest'));
      }
      onBytes(chunk.length);
      const since = now();
      yield chunk;
      recordWritten(now() - since, chunk.length);
    }
  } finally {
    await stream?.return?.();
  }
}

function corrupt(message: string): RegistryError {
  return new RegistryError('REFUSED', `reading a layer: ${message}`);
}

/**
 * Throws if one end moves too few bytes in the time that the other end waits for it. A registry that sends a byte now and then would
 * keep a copy running for ever, because no timeout between bytes fires.
 */
function createThroughputFloor(step: string): (ms: number, bytes: number) => void {
  let waitedMs = 0;
  let moved = 0;

  return (ms, bytes) => {
    waitedMs += ms;
    moved += bytes;
    if (waitedMs < windowMs) return;
    if (moved < minBytesPerWindow) {
      throw new RegistryError('UNAVAILABLE', `${step} less than 256 KiB in a minute`);
    }
    waitedMs = 0;
    moved = 0;
  };
}
