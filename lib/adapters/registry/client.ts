import { isDigest } from '../../image/reference.ts';
import type { Scope } from './auth.ts';
import { RegistryError } from './failure.ts';
import { drop, headerOf, readBody } from './http.ts';
import {
  type Descriptor,
  digestOf,
  manifestTypes,
  maxManifestBytes,
  schema1Types,
} from './manifest.ts';
import type { Answered, RegistryRequest, Send } from './transport.ts';

/** A manifest as it was served, to the byte. */
export interface ServedManifest {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly digest: string;
}

interface UploadSession {
  readonly location: URL;
}

/** The verbs of the distribution API (distribution-spec), for one repository of one registry. */
export interface RepositoryClient {
  /** What a tag or digest is, without its bytes. */
  headManifest(
    reference: string,
    signal: AbortSignal,
  ): Promise<Omit<ServedManifest, 'bytes'> | undefined>;
  /** The bytes, checked against their digest. */
  getManifest(reference: string, signal: AbortSignal): Promise<ServedManifest | undefined>;
  putManifest(
    reference: string,
    manifest: ServedManifest,
    signal: AbortSignal,
  ): Promise<{ readonly hasSubject: boolean }>;
  hasBlob(digest: string, signal: AbortSignal): Promise<boolean>;
  /** The blob from `offset` on. */
  openBlob(
    descriptor: Descriptor,
    offset: number,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>>;
  /** `mounted`: the blob is there now, without a byte having moved. */
  startUpload(
    from: { readonly path: string; readonly digest: string } | undefined,
    signal: AbortSignal,
  ): Promise<UploadSession | 'mounted'>;
  finishUpload(
    session: UploadSession,
    descriptor: Descriptor,
    body: () => AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void>;
  /** Best effort: a session that is left open lives for a week. */
  cancelUpload(session: UploadSession): Promise<void>;
  /** Manifests that say that they are about `digest`; `undefined` where the registry has no such API. */
  getReferrers(digest: string, signal: AbortSignal): Promise<ServedManifest | undefined>;
}

const accept = [...manifestTypes, ...schema1Types].join(', ');
const indexType = 'application/vnd.oci.image.index.v1+json';

export function createRepositoryClient(send: Send, registry: URL, path: string): RepositoryClient {
  const pull: readonly Scope[] = [`repository:${path}:pull`];
  const push: readonly Scope[] = [`repository:${path}:pull,push`];

  const at = (rest: string): URL => new URL(`/v2/${path}/${rest}`, registry);

  async function ask(
    method: 'GET' | 'HEAD',
    rest: string,
    step: string,
    signal: AbortSignal,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answered | undefined> {
    const expect = [200, 206, 404];
    const answer = await send(
      { method, url: at(rest), headers, scopes: pull, expect, step },
      signal,
    );
    if (answer.status !== 404) return answer;
    await drop(answer);
    return undefined;
  }

  async function headManifest(
    reference: string,
    signal: AbortSignal,
  ): Promise<Omit<ServedManifest, 'bytes'> | undefined> {
    const step = 'looking it up';
    const answer = await ask('HEAD', `manifests/${reference}`, step, signal, { accept });
    if (answer === undefined) return undefined;
    await drop(answer);
    const digest = headerOf(answer, 'docker-content-digest');
    // Some registries leave the digest out of a HEAD.
    if (digest === undefined) return await getManifest(reference, signal);
    if (!isDigest(digest)) throw new RegistryError('REFUSED', `${step}: its digest cannot be read`);
    if (isDigest(reference) && digest !== reference) throw otherDigest(step);
    return { digest, mediaType: headerOf(answer, 'content-type') ?? '' };
  }

  async function getManifest(
    reference: string,
    signal: AbortSignal,
  ): Promise<ServedManifest | undefined> {
    const step = 'reading its manifest';
    const answer = await ask('GET', `manifests/${reference}`, step, signal, { accept });
    if (answer === undefined) return undefined;
    const bytes = await readBody(answer, maxManifestBytes, step);
    const wanted = isDigest(reference) ? reference : headerOf(answer, 'docker-content-digest');
    const digest = digestOf(bytes, wanted !== undefined && isDigest(wanted) ? wanted : 'sha256:');
    if (wanted !== undefined && wanted !== digest) throw otherDigest(step);
    return { bytes, digest, mediaType: headerOf(answer, 'content-type') ?? '' };
  }

  async function putManifest(
    reference: string,
    { bytes, mediaType }: ServedManifest,
    signal: AbortSignal,
  ): Promise<{ readonly hasSubject: boolean }> {
    const headers = { 'content-type': mediaType };
    const answer = await write(
      'PUT',
      at(`manifests/${reference}`),
      [201, 202],
      'writing the manifest',
      signal,
      {
        headers,
        body: bytes,
      },
    );
    await drop(answer);
    return { hasSubject: headerOf(answer, 'oci-subject') !== undefined };
  }

  async function write(
    method: 'POST' | 'PUT' | 'DELETE',
    url: URL,
    expect: readonly number[],
    step: string,
    signal: AbortSignal,
    rest: Pick<RegistryRequest, 'headers' | 'body'> = {},
    scopes = push,
  ): Promise<Answered> {
    return await send({ method, url, expect, step, scopes, ...rest }, signal);
  }

  async function hasBlob(digest: string, signal: AbortSignal): Promise<boolean> {
    const answer = await ask('HEAD', `blobs/${digest}`, 'looking for a layer', signal);
    if (answer === undefined) return false;
    await drop(answer);
    return true;
  }

  async function openBlob(
    { digest, size }: Descriptor,
    offset: number,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    const step = 'reading a layer';
    const headers = offset === 0 ? {} : { range: `bytes=${offset}-` };
    const answer = await ask('GET', `blobs/${digest}`, step, signal, headers);
    if (answer === undefined)
      throw new RegistryError('NOT_FOUND', `${step}: ${digest} is not there`);
    const length = headerOf(answer, 'content-length');
    const isWhole = answer.status === 200;
    const expected = isWhole ? size : size - offset;
    if (length !== undefined && Number(length) !== expected) {
      answer.body.destroy();
      throw new RegistryError('REFUSED', `${step}: it is not as long as the manifest says`);
    }
    return isWhole && offset > 0 ? skip(answer.body, offset) : answer.body;
  }

  async function startUpload(
    from: { readonly path: string; readonly digest: string } | undefined,
    signal: AbortSignal,
  ): Promise<UploadSession | 'mounted'> {
    const url = at('blobs/uploads/');
    if (from !== undefined) {
      url.searchParams.set('mount', from.digest);
      url.searchParams.set('from', from.path);
    }
    const scopes = from === undefined ? push : [...push, `repository:${from.path}:pull`];
    const headers = { 'content-length': '0' };
    const answer = await write(
      'POST',
      url,
      [201, 202],
      'starting an upload',
      signal,
      { headers },
      scopes,
    );
    await drop(answer);
    if (answer.status === 201) return 'mounted';
    return { location: toLocation(headerOf(answer, 'location'), answer.url) };
  }

  async function finishUpload(
    { location }: UploadSession,
    { digest, size }: Descriptor,
    body: () => AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const url = new URL(location);
    url.searchParams.set('digest', digest);
    const headers = {
      'content-length': String(size),
      'content-type': 'application/octet-stream',
    };
    const answer = await write('PUT', url, [201, 204], 'writing a layer', signal, {
      headers,
      // An empty stream with a length of 0 is a request without a body.
      body: size === 0 ? new Uint8Array() : body,
    });
    await drop(answer);
  }

  async function cancelUpload({ location }: UploadSession): Promise<void> {
    const step = 'giving up an upload';
    const expect = [200, 202, 204, 404];
    try {
      await drop(await write('DELETE', location, expect, step, AbortSignal.timeout(5_000)));
    } catch {
      // The registry purges what is left; the failure that brought us here is the one to tell.
    }
  }

  async function getReferrers(
    digest: string,
    signal: AbortSignal,
  ): Promise<ServedManifest | undefined> {
    const step = 'looking for signatures';
    const answer = await ask('GET', `referrers/${digest}`, step, signal, { accept: indexType });
    if (answer === undefined) return undefined;
    const bytes = await readBody(answer, maxManifestBytes, step);
    return { bytes, digest: digestOf(bytes), mediaType: headerOf(answer, 'content-type') ?? '' };
  }

  return {
    headManifest,
    getManifest,
    putManifest,
    hasBlob,
    openBlob,
    startUpload,
    finishUpload,
    cancelUpload,
    getReferrers,
  };
}

/** Relative, absolute, with a query that must survive; http from behind a proxy that told the registry nothing of https. */
function toLocation(text: string | undefined, from: URL): URL {
  if (text === undefined || !URL.canParse(text, from)) {
    throw new RegistryError('REFUSED', 'starting an upload: it did not say where to');
  }
  const location = new URL(text, from);
  if (location.hostname === from.hostname && from.protocol === 'https:') {
    location.protocol = 'https:';
    if (location.port === '' || location.port === '80') location.port = from.port;
  }
  return location;
}

async function* skip(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of body) {
    if (left >= chunk.length) {
      left -= chunk.length;
      continue;
    }
    yield chunk.subarray(left);
    left = 0;
  }
}

function otherDigest(step: string): RegistryError {
  return new RegistryError('REFUSED', `${step}: it served something else than it was asked for`);
}
