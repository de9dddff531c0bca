import { algorithmOf, isDigest } from '../../../image/digest.ts';
import { withGracePeriod } from '../../../util/abort.ts';
import type { Scope } from '../auth/index.ts';
import { RegistryError } from '../errors/index.ts';
import { drop, headerOf } from '../http/index.ts';
import type { RegistryRequest, RegistryResponse, Send } from '../transport/index.ts';
import type { Descriptor } from './manifest.ts';
import { parseUploadLocation, withDigest } from './upload-location.ts';

export interface UploadSession {
  readonly location: URL;
}

/** Uploads blobs into one repository. */
export interface Uploads {
  /** `mounted` if the registry took the blob from its other repository `path`; else a session to upload it. */
  mountBlob(
    from: { readonly path: string; readonly digest: string },
    signal: AbortSignal,
  ): Promise<UploadSession | 'mounted'>;
  startUpload(signal: AbortSignal): Promise<UploadSession>;
  /** Calls `body` once, when it sends the bytes. */
  finishUpload(
    session: UploadSession,
    descriptor: Descriptor,
    body: () => AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void>;
  /**
   * Best effort: an open session lasts a week. distribution 2.8 cancels no session that has received bytes, because the
   * state in its location is outdated.
   */
  cancelUpload(session: UploadSession): Promise<void>;
}

const cancelTimeoutMs = 5_000;

export function createUploads(send: Send, registry: URL, path: string): Uploads {
  const push: readonly Scope[] = [`repository:${path}:pull,push`];
  // distribution requires the right to delete; without it, the token server grants the other actions.
  const cancel: readonly Scope[] = [`repository:${path}:pull,push,delete`];
  const startUrl = (): URL => new URL(`/v2/${path}/blobs/uploads/`, registry);

  async function post(
    request: Pick<RegistryRequest, 'url' | 'scopes' | 'expect' | 'step'>,
    signal: AbortSignal,
  ): Promise<RegistryResponse> {
    const headers = { 'content-length': '0' };
    const response = await withGracePeriod(signal, cancelTimeoutMs, (late) =>
      send({ ...request, method: 'POST', headers }, late),
    );
    await drop(response);
    return response;
  }

  return {
    async mountBlob({ digest, path: from }, signal) {
      const url = startUrl();
      url.searchParams.set('mount', digest);
      url.searchParams.set('from', from);
      const scopes = [...push, `repository:${from}:pull`];
      const step = 'mounting a layer';
      const response = await post({ url, scopes, expect: [201, 202], step }, signal);
      return response.status === 201 ? 'mounted' : toSession(response);
    },

    async startUpload(signal) {
      const step = 'starting an upload';
      const request = { url: startUrl(), scopes: push, expect: [202], step };
      return toSession(await post(request, signal));
    },

    async finishUpload({ location }, { digest, size }, body, signal) {
      const response = await send(
        {
          method: 'PUT',
          url: withDigest(location, digest),
          headers: { 'content-length': String(size), 'content-type': 'application/octet-stream' },
          // A request with a length of 0 has no body to stream.
          body: size === 0 ? () => new Uint8Array() : body,
          scopes: push,
          expect: [201, 204],
          // The bytes were checked before they were sent, so they were corrupted on the way.
          transientCodes: transientDigestCodes(digest),
          step: 'writing a layer',
        },
        signal,
      ).catch((error: unknown) => {
        throw explainAlgorithm(error, digest);
      });
      await drop(response);
    },

    async cancelUpload({ location }) {
      const step = 'cancelling an upload';
      const expect = [200, 202, 204, 404];
      const request = { method: 'DELETE', url: location, scopes: cancel, expect, step } as const;
      try {
        await drop(await send(request, AbortSignal.timeout(cancelTimeoutMs)));
      } catch {
        // The registry purges old sessions; the caller throws the error that ended the upload.
      }
    },
  };
}

/** After DIGEST_INVALID, another attempt can succeed only in the algorithm that every registry supports. */
export function transientDigestCodes(reference: string): readonly string[] {
  return isOptionalAlgorithm(reference) ? [] : ['DIGEST_INVALID'];
}

/** The specification requires sha256 of a registry, and no other algorithm. */
function isOptionalAlgorithm(reference: string): boolean {
  return isDigest(reference) && algorithmOf(reference) !== 'sha256';
}

function explainAlgorithm(error: unknown, digest: string): unknown {
  if (!(error instanceof RegistryError) || !isOptionalAlgorithm(digest)) return error;
  const { status, code = '', message } = error;
  if (status !== 400 || !['', 'DIGEST_INVALID', 'UNSUPPORTED'].includes(code)) return error;
  const text = `${message}; the registry may not accept ${algorithmOf(digest)} digests`;
  return new RegistryError('REFUSED', text, { cause: error, status, code });
}

function toSession(response: RegistryResponse): UploadSession {
  return { location: parseUploadLocation(headerOf(response, 'location'), response.url) };
}
