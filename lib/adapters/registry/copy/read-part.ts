import { isFailureOf } from '../../../errors.ts';
import { isTransient, RegistryError } from '../errors/index.ts';

export interface ByteRange {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** Requests a part; `undefined` if the registry serves something else. */
export type OpenPart = (
  range: ByteRange,
  signal: AbortSignal,
) => Promise<AsyncIterable<Uint8Array> | undefined>;

export interface ReadPartOptions {
  readonly openPart: OpenPart;
  /** Called if the registry would not serve other parts either. */
  readonly onRefusal: () => void;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  readonly signal: AbortSignal;
}

/** 70 KiB/s; a slower connection is better used by one stream. */
const maxPartMs = 30_000;

/** Reads one part of a blob. After a failure the caller resumes where it is. */
export async function readPart(
  range: ByteRange,
  { openPart, onRefusal, now, signal }: ReadPartOptions,
): Promise<Uint8Array> {
  const startedAt = now();
  const assertInTime = (): void => {
    if (now() - startedAt <= maxPartMs) return;
    onRefusal();
    throw partError(`takes longer than ${maxPartMs / 1000} s`);
  };
  const body = await openPart(range, signal).catch((error: unknown) => {
    const isRefusal = !isTransient(error) || isFailureOf('source', error, ['RATE_LIMITED']);
    if (isRefusal && !signal.aborted) onRefusal();
    throw error;
  });
  if (body !== undefined) return await collect(body, range.end - range.start, assertInTime);
  onRefusal();
  throw partError('is not served as requested');
}

/** Copies the chunks, because a server may send each byte as a chunk of its own. */
async function collect(
  body: AsyncIterable<Uint8Array>,
  length: number,
  assertInTime: () => void,
): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  for await (const chunk of body) {
    assertInTime();
    if (at + chunk.length > length) throw partError('is longer than requested');
    bytes.set(chunk, at);
    at += chunk.length;
  }
  if (at < length) throw partError('is shorter than requested');
  return bytes;
}

export function partError(problem: string, cause?: unknown): RegistryError {
  const message = `reading a layer: a part of it ${problem}`;
  return new RegistryError('UNAVAILABLE', message, { cause, isTransient: true });
}
