import { createHash } from 'node:crypto';
import type { Dispatcher } from 'undici';
import { algorithmOf } from '../../../image/digest.ts';
import { RegistryError, toConnectionError } from '../errors/index.ts';

/** What came back on an HTTP request. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  /** Read it or `drop` it, or the connection is lost to others. */
  readonly body: Dispatcher.ResponseData['body'];
}

/** Manifests, tokens and errors are small: whoever sends one for longer keeps us busy on purpose. */
const maxReadMs = 120_000;

/** A body that is read by somebody who cannot be kept busy for ever. */
interface Readable {
  readonly body: AsyncIterable<unknown>;
}

/**
 * Reads a body of at most `maxBytes`; a longer one is refused and the connection dropped, and so is one that trickles.
 * `elapsed` is a clock that only goes forward, in milliseconds.
 */
export async function readBody(
  answer: Readable,
  maxBytes: number,
  step: string,
  elapsed?: () => number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of chunksOf(answer, maxBytes, step, elapsed)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** As `readBody`, for its digest alone, in the algorithm of another digest. */
export async function digestBody(
  answer: Readable,
  maxBytes: number,
  step: string,
  like = 'sha256:',
): Promise<string> {
  const algorithm = algorithmOf(like);
  const hash = createHash(algorithm);
  for await (const chunk of chunksOf(answer, maxBytes, step)) hash.update(chunk);
  return `${algorithm}:${hash.digest('hex')}`;
}

async function* chunksOf(
  { body }: Readable,
  maxBytes: number,
  step: string,
  elapsed: () => number = () => performance.now(),
): AsyncGenerator<Uint8Array> {
  const end = elapsed() + maxReadMs;
  let length = 0;
  try {
    for await (const chunk of body) {
      if (!(chunk instanceof Uint8Array)) continue;
      length += chunk.length;
      if (elapsed() > end) {
        throw new RegistryError('UNAVAILABLE', `${step}: it sends the answer too slowly`);
      }
      if (length > maxBytes) {
        throw new RegistryError(
          'UNSUPPORTED',
          `${step}: the answer is larger than ${maxBytes} bytes`,
        );
      }
      yield chunk;
    }
  } catch (error) {
    throw toConnectionError(step, error);
  }
}

/** Gives the connection back; a body that is too long to read is cut with it. */
export async function drop({ body }: Pick<HttpResponse, 'body'>): Promise<void> {
  await body.dump({ limit: 64 * 1024 }).catch(() => undefined);
}

/** The one value of a header, the first where there are several. */
export function headerOf(answer: Pick<HttpResponse, 'headers'>, name: string): string | undefined {
  const value = answer.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
