import { isDigest } from '../../image/digest.ts';
import { type Exchange, respondError, respondRouteError } from '../http/index.ts';
import type { Bytes } from '../images/index.ts';
import type { Store, StoredBlob } from '../storage/index.ts';

/** `/v2/NAME/blobs/DIGEST`. */
export function serveBlob(
  store: Store,
  exchange: Exchange,
  { repository, digest }: { readonly repository: string; readonly digest: string },
): Response {
  if (!isDigest(digest)) return respondError('DIGEST_INVALID');
  const { method, headers } = exchange;
  if (!['GET', 'HEAD', 'DELETE'].includes(method)) {
    return respondRouteError(405, { allow: 'DELETE, GET, HEAD' });
  }
  const blob = store.blob(repository, digest);
  if (blob === undefined) return respondError('BLOB_UNKNOWN', { details: [digest] });
  if (method !== 'DELETE') return readBlob(headers, blob);
  store.deleteBlob(repository, digest);
  return new Response(null, { status: 202, headers: { 'docker-content-digest': digest } });
}

function readBlob(headers: Headers, { digest, size, chunks }: StoredBlob): Response {
  const etag = `"${digest}"`;
  const common = {
    'accept-ranges': 'bytes',
    'cache-control': 'max-age=31536000',
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    etag,
  };
  if (headers.get('if-none-match') === etag)
    return new Response(null, { status: 304, headers: common });
  const range = parseRange(headers.get('range'), size);
  if (range === 'unsatisfiable') {
    // Go's file server sends this response, not distribution.
    return new Response('invalid range: failed to overlap\n', {
      status: 416,
      headers: { 'content-range': `bytes */${size}`, 'content-type': 'text/plain' },
    });
  }
  const { start, end } = range ?? { start: 0, end: size };
  return new Response(ReadableStream.from(slice(chunks, start, end)), {
    status: range === undefined ? 200 : 206,
    headers: {
      ...common,
      'content-length': String(end - start),
      ...(range && { 'content-range': `bytes ${start}-${end - 1}/${size}` }),
    },
  });
}

interface Range {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** Parses a single byte range; a server may ignore any other form (RFC 9110 §14.2). */
function parseRange(header: string | null, size: number): Range | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1);
  return start < end ? { start, end } : 'unsatisfiable';
}

/** Yields the bytes from `start` up to `end`, without copying. */
function* slice(chunks: readonly Bytes[], start: number, end: number): Generator<Bytes> {
  let offset = 0;
  for (const chunk of chunks) {
    const from = Math.max(0, start - offset);
    const to = Math.min(chunk.length, end - offset);
    offset += chunk.length;
    if (from < to) yield chunk.subarray(from, to);
    if (offset >= end) return;
  }
}
