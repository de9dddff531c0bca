import type { Context } from 'hono';
import { CloneError } from '../../lib/index.ts';
import { untilAborted } from '../../lib/util/abort.ts';

/** The API server's own limit is 3 MiB for an object; an UPDATE carries two. */
export const maxBodyBytes = 8 * 1024 * 1024;

/** `undefined` where the body does not say how long it is. */
export function readLength({ req }: Context): number | undefined {
  const length = req.header('content-length');
  const isKnown = length !== undefined && req.header('transfer-encoding') === undefined;
  return isKnown ? Number(length) : undefined;
}

/** The body's text, or `undefined` where there is too much of it. Throws `CloneError`: `INVALID_REVIEW`, or what it is told to end with. */
export async function readBody(
  { req }: Context,
  bytes: number | undefined,
  over: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    // The API server says how long its body is. To count what does not, @hono/node-server makes web streams of Node's,
    // which costs more than all the rest of a review.
    const text = bytes === undefined ? readStream(req.raw.body) : req.text();
    return await (over === undefined ? text : untilAborted(text, over));
  } catch {
    over?.throwIfAborted();
    throw new CloneError('INVALID_REVIEW', 'not an AdmissionReview: the body was cut off');
  }
}

async function readStream(stream: ReadableStream<Uint8Array> | null): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // To cancel the stream would be to close the connection, and nobody could read why.
  for await (const chunk of stream?.values({ preventCancel: true }) ?? []) {
    size += chunk.length;
    if (size > maxBodyBytes) return undefined;
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message would quote the body.
    throw new CloneError('INVALID_REVIEW', 'not an AdmissionReview: the body is not JSON');
  }
}
