import { algorithmOf } from '../../../image/digest.ts';
import { RegistryError } from '../errors/index.ts';
import { drop, headerOf } from '../http/index.ts';
import { isWebPage, webPageError } from '../transport/index.ts';
import { accept } from './manifest.ts';
import type { SendRead } from './send-read.ts';

/** Whether a repository holds something. */
export interface ExistenceChecks {
  /** `false` also without a clear answer: the copy then writes it, and the registry decides. */
  hasManifest(digest: string, signal: AbortSignal): Promise<boolean>;
  /** As `hasManifest`. */
  hasBlob(digest: string, signal: AbortSignal): Promise<boolean>;
  /** Whether the registry says 404, to HEAD and to GET. Rejects without a clear answer. */
  lacksBlob(digest: string, signal: AbortSignal): Promise<boolean>;
  /** For a manifest that was just written: rejects if the registry says 404 to HEAD and to GET, or fails with 5xx. */
  assertStored(digest: string, signal: AbortSignal): Promise<void>;
}

const blobStep = 'checking for a layer';
const manifestStep = 'checking for a manifest';
/** If a check fails, the write follows, with its own attempts. */
const maxAttempts = 2;

export function createExistenceChecks(sendRead: SendRead): ExistenceChecks {
  async function isHeld(
    request: Parameters<SendRead>[0],
    digest: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    const response = await sendRead({ ...request, maxAttempts }, [404], signal).catch(asAbsent);
    signal.throwIfAborted();
    if (response === undefined) return false;
    await drop(response);
    if (isWebPage(response)) return false;
    const held = headerOf(response, 'docker-content-digest');
    return held === undefined || held === digest || algorithmOf(held) !== algorithmOf(digest);
  }

  return {
    hasManifest: (digest, signal) => isHeld(toManifest('HEAD', digest), digest, signal),
    hasBlob: (digest, signal) => isHeld(toBlob('HEAD', digest), digest, signal),
    async assertStored(digest, signal) {
      for (const method of ['HEAD', 'GET'] as const) {
        const response = await sendRead(toManifest(method, digest), [404], signal).catch(
          (error: unknown) =>
            method === 'HEAD' && lacksHead(error) ? undefined : unlessDown(error),
        );
        signal.throwIfAborted();
        if (response === null) return;
        if (response === undefined) continue;
        await drop(response);
        return;
      }
      const message =
        'writing the manifest: it was accepted, and the registry does not have it (404)';
      throw new RegistryError('REFUSED', message, { status: 404 });
    },
    async lacksBlob(digest, signal) {
      const response =
        (await sendRead(toBlob('HEAD', digest), [404], signal)) ??
        (await sendRead(toBlob('GET', digest), [404], signal));
      if (response === undefined) return true;
      await drop(response);
      if (!isWebPage(response)) return false;
      throw webPageError(blobStep, response);
    },
  };
}

type Method = 'HEAD' | 'GET';

function toBlob(method: Method, digest: string): Parameters<SendRead>[0] {
  // Of the blob itself, one byte is enough.
  const headers = method === 'GET' ? { range: 'bytes=0-0' } : {};
  return { method, path: `blobs/${digest}`, headers, step: blobStep };
}

function toManifest(method: Method, digest: string): Parameters<SendRead>[0] {
  return { method, path: `manifests/${digest}`, headers: { accept }, step: manifestStep };
}

/** A response that says nothing about the digest counts as absence, and the write follows. */
function asAbsent(error: unknown): undefined {
  if (!(error instanceof RegistryError)) throw error;
}

/** Whether a request by GET may succeed: 501 means that the server lacks the method. */
function lacksHead(error: unknown): boolean {
  return error instanceof RegistryError && error.status === 501;
}

/** Only a failure of the server casts doubt on a write that it accepted. */
function unlessDown(error: unknown): null {
  if (error instanceof RegistryError && (error.status ?? 0) < 500) return null;
  throw error;
}
