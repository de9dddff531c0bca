import { isDigest } from '../../image/digest.ts';
import { type Exchange, fail, failRoute, originOf } from '../http/index.ts';
import type { Bytes } from '../images/index.ts';
import { parseUploadState, type Store, type UploadSession } from '../storage/index.ts';

const octetStream = 'application/octet-stream';

type Session = NonNullable<ReturnType<Store['uploads']['find']>>;

/** `/v2/NAME/blobs/uploads/`: begins a session, or mounts what another repository holds. */
export function beginUpload(store: Store, exchange: Exchange, repository: string): Response {
  if (exchange.method !== 'POST') return failRoute(405, { allow: 'POST' });
  const { searchParams } = exchange.url;
  const from = searchParams.get('from');
  const mounted = searchParams.get('mount');
  const blob = from !== null && mounted !== null ? store.blob(from, mounted) : undefined;
  if (blob !== undefined) {
    store.putBlob(repository, blob);
    return created(exchange, repository, blob.digest);
  }
  // `?digest=` with the whole blob as the body is allowed to be ignored, and is by distribution: the body is lost.
  return accepted(exchange, store.uploads.begin(repository));
}

/** `/v2/NAME/blobs/uploads/UUID`. */
export async function serveUpload(
  store: Store,
  exchange: Exchange,
  { repository, uuid }: { readonly repository: string; readonly uuid: string },
): Promise<Response> {
  const { method, url } = exchange;
  if (!['GET', 'HEAD', 'PATCH', 'PUT', 'DELETE'].includes(method)) {
    return failRoute(405, { allow: 'DELETE, GET, HEAD, PATCH, PUT' });
  }
  const state = parseUploadState(url.searchParams.get('_state') ?? '');
  if (state?.uuid !== uuid || state.repository !== repository) return fail('BLOB_UPLOAD_INVALID');
  const session = store.uploads.find(repository, uuid);
  if (session === undefined) return fail('BLOB_UPLOAD_UNKNOWN');
  // Distribution 2.8 means to cancel the session of whoever comes with an old state, and fails to: the new one still works.
  if (state.offset !== session.size) return fail('BLOB_UPLOAD_INVALID');
  switch (method) {
    case 'PATCH': {
      const type = exchange.headers.get('content-type') ?? octetStream;
      // Distribution is as strict as that, and as unhelpful.
      if (type !== octetStream) return fail('UNKNOWN', { message: 'bad Content-Type' });
      return (await receive(exchange, session)) ?? accepted(exchange, session);
    }
    case 'PUT':
      return await endUpload(store, exchange, session);
    case 'DELETE':
      store.uploads.cancel(uuid);
      return new Response(null, { status: 204, headers: { 'docker-upload-uuid': uuid } });
    default:
      return new Response(null, { status: 204, headers: toHeaders(exchange, session) });
  }
}

async function endUpload(store: Store, exchange: Exchange, session: Session): Promise<Response> {
  const digest = exchange.url.searchParams.get('digest') ?? '';
  if (digest === '') return fail('DIGEST_INVALID', { details: ['digest missing'] });
  if (!isDigest(digest)) return fail('DIGEST_INVALID', { details: ['digest parsing failed'] });
  const failure = await receive(exchange, session);
  if (failure !== undefined) return failure;
  const [algorithm = ''] = digest.split(':');
  const blob = session.finish(algorithm);
  if (blob.digest !== digest) return fail('DIGEST_INVALID', { details: [{ Digest: digest }] });
  store.putBlob(session.repository, blob);
  return created(exchange, session.repository, digest);
}

/** Appends the body to the session. What came before the caller went away stays there. */
async function receive(exchange: Exchange, session: Session): Promise<Response | undefined> {
  const problem = checkRange(exchange.headers, session);
  if (problem !== undefined) return problem;
  try {
    for await (const chunk of exchange.body) session.append(toOwn(chunk));
    return undefined;
  } catch {
    // Nobody is left to read the answer; the number is nginx's, and distribution's.
    return new Response(null, { status: 499 });
  }
}

/** Distribution 2.8 does not look at it; the specification, and 3.0, want the chunks in order. */
function checkRange(headers: Headers, session: UploadSession): Response | undefined {
  const header = headers.get('content-range');
  if (header === null) return undefined;
  const [, first, last] = /^(\d+)-(\d+)$/.exec(header) ?? [];
  if (first === undefined || last === undefined) return fail('RANGE_INVALID');
  if (Number(first) !== session.size || Number(last) < Number(first)) return fail('RANGE_INVALID');
  const length = headers.get('content-length');
  const isWrong = length !== null && Number(length) !== Number(last) - Number(first) + 1;
  return isWrong ? fail('SIZE_INVALID') : undefined;
}

/** A few bytes of a big shared buffer would keep all of it alive. */
function toOwn(chunk: Bytes): Bytes {
  return chunk.length * 2 < chunk.buffer.byteLength ? Uint8Array.from(chunk) : chunk;
}

function created(exchange: Exchange, repository: string, digest: string): Response {
  return new Response(null, {
    status: 201,
    headers: {
      location: `${originOf(exchange)}/v2/${repository}/blobs/${digest}`,
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
  const location = new URL(`${originOf(exchange)}/v2/${repository}/blobs/uploads/${uuid}`);
  location.searchParams.set('_state', state);
  return {
    location: location.href,
    'docker-upload-uuid': uuid,
    // Inclusive, so nothing at all and one byte look the same.
    range: `0-${Math.max(0, size - 1)}`,
  };
}
