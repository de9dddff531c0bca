import { createHash } from 'node:crypto';
import type { Descriptor } from '../client/index.ts';
import { isTransient, RegistryError, toConnectionError } from '../errors/index.ts';
import { createThroughputFloor } from './throughput-floor.ts';

export interface BlobReaderOptions {
  readonly descriptor: Pick<Descriptor, 'digest' | 'size'>;
  readonly open: (offset: number) => Promise<AsyncIterable<Uint8Array>>;
  readonly onBytes: (bytes: number) => void;
  /** Waits before a connection that broke is made anew. */
  readonly pause: (attempt: number) => Promise<void>;
  /** What is thrown where the source is at fault: no other failure passes here. */
  readonly toError: (error: unknown) => unknown;
  /** Milliseconds of a clock that only goes forward. @default the process's */
  readonly elapsed?: () => number;
}

/** Without so much progress in between, a connection that breaks again is one failure more. */
const progressBytes = 1024 * 1024;
const maxResumes = 3;

/**
 * Streams a blob and checks it on the way: the last chunk is handed on only when size and digest are right, so what is
 * broken never becomes a blob, even in a registry that checks nothing. A connection that breaks is resumed where it was.
 */
export async function* readBlob(options: BlobReaderOptions): AsyncGenerator<Uint8Array> {
  const { descriptor, open, onBytes, pause, toError } = options;
  const { digest, size } = descriptor;
  const algorithm = digest.slice(0, digest.indexOf(':'));
  const hash = createHash(algorithm);
  let stream: AsyncIterator<Uint8Array> | undefined;
  let length = 0;
  let resumes = 0;
  let resumedAt = 0;
  const { elapsed = () => performance.now() } = options;
  const source = createThroughputFloor(() => tooSlow('reading a layer: it sends'));
  const target = createThroughputFloor(() => tooSlow('writing a layer: it takes'));

  /** Only reading is resumed: a failure of the one who takes the chunks ends the generator at its `yield`. */
  async function read(): Promise<Uint8Array> {
    for (;;) {
      try {
        // Opening is not counted: it may have been told to come back later.
        stream ??= (await open(length))[Symbol.asyncIterator]();
        const since = elapsed();
        const next = await stream.next();
        source.waited(elapsed() - since, next.done === true ? 0 : next.value.length);
        if (next.done !== true) return next.value;
        throw cut();
      } catch (error) {
        stream = undefined;
        resumes = length - resumedAt >= progressBytes ? 1 : resumes + 1;
        resumedAt = length;
        if (!isTransient(error) || resumes > maxResumes) {
          throw toError(toConnectionError('reading a layer', error));
        }
        await pause(resumes);
      }
    }
  }

  try {
    while (length < size) {
      const chunk = await read();
      if (chunk.length === 0) continue;
      length += chunk.length;
      if (length > size) throw toError(broken('it is longer than the manifest says'));
      hash.update(chunk);
      if (length === size && `${algorithm}:${hash.digest('hex')}` !== digest) {
        throw toError(broken('it does not have its digest'));
      }
      onBytes(chunk.length);
      const since = elapsed();
      yield chunk;
      target.waited(elapsed() - since, chunk.length);
    }
  } finally {
    await stream?.return?.();
  }
}

function broken(message: string): RegistryError {
  return new RegistryError('REFUSED', `reading a layer: ${message}`);
}

function tooSlow(who: string): RegistryError {
  return new RegistryError('UNAVAILABLE', `${who} less than 256 KiB in a minute`);
}

function cut(): RegistryError {
  const message = 'reading a layer: the connection was cut';
  return new RegistryError('UNAVAILABLE', message, { isTransient: true });
}
