import { isDigest } from '../../image/digest.ts';
import { type Exchange, respondError, respondRouteError } from '../http/index.ts';
import type { Bytes } from '../images/index.ts';
import { parseUploadState, type Store, type UploadSession } from '../storage/index.ts';

const octetStream = 'application/octet-stream';

/** `/v2/NAME/blobs/uploads/`: starts a session, or mounts a blob of another repository. */
export function startUpload(store: Store, exchange: Exchange, repository: string): Response {
  if (exchange.method !== 'POST') return respondRouteError(405, { allow: 'POST' });
  const { searchParams } = exchange.url;
  const from = searchParams.get('from');
  const mounted = searchParams.get('mount');
  const blob = from !== null && mounted !== null ? store.blob(from, mounted) : undefined;
  if (blob !== undefined) {
    store.putBlob(repository, blob);
    return created(exchange, repository, blob.digest);
  }
  // Like distribution, ignores a monolithic POST (`?digest=`): the body is discarded and a session starts.
  return accepted(exchange, store.uploads.start(repository));
}

/** `/v2/NAME/blobs/uploads/UUID`. */
export async function serveUpload(
  store: Store,
  exchange: Exchange,
  { repository, uuid }: { readonly repository: string; readonly uuid: string },
): Promise<Response> {
  const { method, url } = exchange;
  if (!['GET', 'HEAD', 'PATCH', 'PUT', 'DELETE'].includes(method)) {
    return respondRouteError(405, { allow: 'DELETE, GET, HEAD, PATCH, PUT' });
  }
  const state = parseUploadState(url.searchParams.get('_state') ?? '');
  if (state?.uuid !== uuid || state.repository !== repository)
    return respondError('BLOB_UPLOAD_INVALID');
  const session = store.uploads.find(repository, uuid);
  if (session === undefined) return respondError('BLOB_UPLOAD_UNKNOWN');
  // Like distribution 2.8, rejects an outdated state and keeps the session.
  if (state.offset !== session.size) return respondError('BLOB_UPLOAD_INVALID');
  switch (method) {
    case 'PATCH': {
      const type = exchange.headers.get('content-type') ?? octetStream;
      // Like distribution, rejects any other type with an unspecific error.
      if (type !== octetStream) return respondError('UNKNOWN', { message: 'bad Content-Type' });
      return (await receive(exchange, session)) ?? accepted(exchange, session);
    }
    case 'PUT':
      return await completeUpload(store, exchange, session);
    case 'DELETE':
      store.uploads.cancel(uuid);
      return new Response(null, { status: 204, headers: { 'docker-upload-uuid': uuid } });
    default:
      return new Response(null, { status: 204, headers: toHeaders(exchange, session) });
  }
}

async function completeUpload(
  store: Store,
  exchange: Exchange,
  session: UploadSession,
): Promise<Response> {
  const digest = exchange.url.searchParams.get('digest') ?? '';
  if (digest === '') return respondError('DIGEST_INVALID', { details: ['digest missing'] });
  if (!isDigest(digest))
    return respondError('DIGEST_INVALID', { details: ['digest parsing failed'] });
  const error = await receive(exchange, session);
  if (error !== undefined) return error;
  const [algorithm = ''] = digest.split(':');
  const blob = session.finish(algorithm);
  if (blob.digest !== digest)
    return respondError('DIGEST_INVALID', { details: [{ Digest: digest }] });
  store.putBlob(session.repository, blob);
  return created(exchange, session.repository, digest);
}

/** Appends the body to the session. If the client disconnects, the session keeps the bytes received so far. */
async function receive(exchange: Exchange, session: UploadSession): Promise<Response | undefined> {
  const rangeError = checkRange(exchange.headers, session);
  if (rangeError !== undefined) return rangeError;
  try {
    for await (const chunk of exchange.body) session.append(compact(chunk));
    return undefined;
  } catch {
    // nginx and distribution record a disconnected client as 499; the client does not receive it.
    return new Response(null, { status: 499 });
  }
}

/** Requires chunks in order, as the specification and distribution 3.0 do; distribution 2.8 ignores the header. */
function checkRange(headers: Headers, session: UploadSession): Response | undefined {
  const header = headers.get('content-range');
  if (header === null) return undefined;
  const [, first, last] = /^(\d+)-(\d+)$/.exec(header) ?? [];
  if (first === undefined || last === undefined) return respondError('RANGE_INVALID');
  if (Number(first) !== session.size || Number(last) < Number(first))
    return respondError('RANGE_INVALID');
  const length = headers.get('content-length');
  const isMismatch = length !== null && Number(length) !== Number(last) - Number(first) + 1;
  return isMismatch ? respondError('SIZE_INVALID') : undefined;
}

/** Copies a small slice of a large buffer, which would otherwise stay in memory as a whole. */
function compact(chunk: Bytes): Bytes {
  return chunk.length * 2 < chunk.buffer.byteLength ? Uint8Array.from(chunk) : chunk;
}

function created(exchange: Exchange, repository: string, digest: string): Response {
  return new Response(null, {
    status: 201,
    headers: {
      location: `${exchange.url.origin}/v2/${repository}/blobs/${digest}`,
      'docker-content-digest': digest,
      'content-length': '0',
    },
  });
}

function accepted(exchange: Exchange, session: UploadSession): Response {
  const headers = { ...toHeaders(exchange, session), 'content-length': '0' };
  return new Response(null, { status: 202, headers });
}

function toHeaders(exchange: Exchange, session: UploadSession): Record<string, string> {
  const { uuid, repository, size, state } = session;
  const location = new URL(`${exchange.url.origin}/v2/${repository}/blobs/uploads/${uuid}`);
  location.searchParams.set('_state', state);
  return {
    location: location.href,
    'docker-upload-uuid': uuid,
    // The end is inclusive, so 0 bytes and 1 byte give the same range.
    range: `0-${Math.max(0, size - 1)}`,
  };
}
