import type { Dispatcher } from 'undici';
import { RegistryError, toConnectionError } from './failure.ts';

/** What came back on an HTTP request. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  /** Read it or `drop` it, or the connection is lost to others. */
  readonly body: Dispatcher.ResponseData['body'];
}

/** Manifests, tokens and errors are small: whoever sends one for longer keeps us busy on purpose. */
const maxReadMs = 120_000;

/**
 * Reads a body of at most `maxBytes`; a longer one is refused and the connection dropped, and so is one that trickles.
 * `elapsed` is a clock that only goes forward, in milliseconds.
 */
export async function readBody(
  { body }: { readonly body: AsyncIterable<unknown> },
  maxBytes: number,
  step: string,
  elapsed: () => number = () => performance.now(),
): Promise<Uint8Array> {
  const end = elapsed() + maxReadMs;
  const chunks: Uint8Array[] = [];
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
      chunks.push(chunk);
    }
  } catch (error) {
    throw toConnectionError(step, error);
  }
  return Buffer.concat(chunks);
}

/** Gives the connection back; a body that is too long to read is cut with it. */
export async function drop({ body }: Pick<HttpAnswer, 'body'>): Promise<void> {
  await body.dump({ limit: 64 * 1024 }).catch(() => undefined);
}

/** The one value of a header, the first where there are several. */
export function headerOf(answer: Pick<HttpAnswer, 'headers'>, name: string): string | undefined {
  const value = answer.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
