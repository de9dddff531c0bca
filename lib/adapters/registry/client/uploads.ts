import { withGracePeriod } from '../../../util/grace-period.ts';
import type { Scope } from '../auth/index.ts';
import { drop, headerOf } from '../http/index.ts';
import type { Descriptor } from './manifest.ts';
import type { RegistryRequest, RegistryResponse, Send } from './transport.ts';
import { parseUploadLocation, withDigest } from './upload-location.ts';

export interface UploadSession {
  readonly location: URL;
}

/** A blob of another repository in the same registry. */
interface MountSource {
  readonly path: string;
  readonly digest: string;
}

/** How blobs get into one repository. */
export interface Uploads {
  /** `mounted`: the blob is there now, without a byte having moved; else the registry wants it uploaded. */
  mountBlob(from: MountSource, signal: AbortSignal): Promise<UploadSession | 'mounted'>;
  startUpload(signal: AbortSignal): Promise<UploadSession>;
  /** `body` is called once, when the bytes are wanted. */
  finishUpload(
    session: UploadSession,
    descriptor: Descriptor,
    body: () => AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void>;
  /**
   * Best effort: a session that is left open lives for a week. distribution 2.8 deletes none whose bytes it has begun to read,
   * since the state in its location is out of date then.
   */
  cancelUpload(session: UploadSession): Promise<void>;
}

const cancelTimeoutMs = 5_000;

export function createUploads(send: Send, registry: URL, path: string): Uploads {
  const push: readonly Scope[] = [`repository:${path}:pull,push`];
  // For distribution a cancelled upload is something deleted; who may not do that is given the rest.
  const cancel: readonly Scope[] = [`repository:${path}:pull,push,delete`];
  const start = (): URL => new URL(`/v2/${path}/blobs/uploads/`, registry);

  async function mountBlob(
    { digest, path: from }: MountSource,
    signal: AbortSignal,
  ): Promise<UploadSession | 'mounted'> {
    const url = start();
    url.searchParams.set('mount', digest);
    url.searchParams.set('from', from);
    const scopes = [...push, `repository:${from}:pull`];
    const answer = await post(
      { url, scopes, expect: [201, 202], step: 'mounting a layer' },
      signal,
    );
    return answer.status === 201 ? 'mounted' : toSession(answer);
  }

  async function startUpload(signal: AbortSignal): Promise<UploadSession> {
    const url = start();
    const step = 'starting an upload';
    return toSession(await post({ url, scopes: push, expect: [202], step }, signal));
  }

  async function post(
    request: Pick<RegistryRequest, 'url' | 'scopes' | 'expect' | 'step'>,
    signal: AbortSignal,
  ): Promise<RegistryResponse> {
    const headers = { 'content-length': '0' };
    const answer = await withGracePeriod(signal, cancelTimeoutMs, (late) =>
      send({ ...request, method: 'POST', headers }, late),
    );
    await drop(answer);
    return answer;
  }

  async function finishUpload(
    { location }: UploadSession,
    { digest, size }: Descriptor,
    body: () => AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const answer = await send(
      {
        method: 'PUT',
        url: withDigest(location, digest),
        headers: { 'content-length': String(size), 'content-type': 'application/octet-stream' },
        // An empty stream with a length of 0 is a request without a body.
        body: size === 0 ? () => new Uint8Array() : body,
        scopes: push,
        expect: [201, 204],
        // The bytes were right when they left us.
        passingCodes: ['DIGEST_INVALID'],
        step: 'writing a layer',
      },
      signal,
    );
    await drop(answer);
  }

  async function cancelUpload({ location }: UploadSession): Promise<void> {
    const step = 'giving up an upload';
    const expect = [200, 202, 204, 404];
    try {
      await drop(
        await send(
          { method: 'DELETE', url: location, scopes: cancel, expect, step },
          AbortSignal.timeout(cancelTimeoutMs),
        ),
      );
    } catch {
      // The registry purges what is left; the failure that brought us here is the one to tell.
    }
  }

  return { mountBlob, startUpload, finishUpload, cancelUpload };
}

function toSession(answer: RegistryResponse): UploadSession {
  return { location: parseUploadLocation(headerOf(answer, 'location'), answer.url) };
}
