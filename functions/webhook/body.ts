import type { Context } from 'hono';
import { CloneError } from '../../lib/index.ts';
import { untilAborted } from '../../lib/util/abort.ts';

/** The API server limits an object to 3 MiB, and an UPDATE carries two. */
export const maxBodyBytes = 8 * 1024 * 1024;
/** 8 MiB of empty lists keep the parser busy for seconds and take hundreds of megabytes. */
export const maxJsonObjects = 500_000;
/** Smaller bodies are not counted: they cannot slow the parser down. */
const uncountedBytes = 256 * 1024;
const openBrace = 0x7b;
const openBracket = 0x5b;

/** `undefined` if the request has no content length. */
export function readLength({ req }: Context): number | undefined {
  const length = req.header('content-length');
  const isKnown = length !== undefined && req.header('transfer-encoding') === undefined;
  return isKnown ? Number(length) : undefined;
}

/** Resolves with `undefined` for a body that is too large. Rejects with `CloneError` `INVALID_REVIEW`, or the reason of the signal. */
export async function readBody(
  { req }: Context,
  bytes: number | undefined,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    // The API server sends a content length. A body without one is counted in a web stream, which costs more than the whole review.
    const text = bytes === undefined ? readStream(req.raw.body) : req.text();
    return await (signal === undefined ? text : untilAborted(text, signal));
  } catch {
    signal?.throwIfAborted();
    throw new CloneError('INVALID_REVIEW', 'not an AdmissionReview: the body was cut off');
  }
}

async function readStream(stream: ReadableStream<Uint8Array> | null): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Cancelling the stream closes the connection before the client can read the response.
  for await (const chunk of stream?.values({ preventCancel: true }) ?? []) {
    size += chunk.length;
    if (size > maxBodyBytes) return undefined;
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}

/** Whether the JSON has more objects and lists than an object that the API server can store. */
export function hasTooManyObjects(text: string): boolean {
  if (text.length <= uncountedBytes) return false;
  let count = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === openBrace || code === openBracket) count += 1;
  }
  return count > maxJsonObjects;
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The message of the parser quotes the body.
    throw new CloneError('INVALID_REVIEW', 'not an AdmissionReview: the body is not JSON');
  }
}
