import { algorithmOf } from '../../../image/digest.ts';
import { RegistryError } from '../errors/index.ts';
import { drop, headerOf } from '../http/index.ts';
import { accept, parseMediaType } from './manifest.ts';
import type { RegistryResponse, SendRead } from './transport.ts';

/** Whether a repository holds something. */
export interface ExistenceChecks {
  /** `false` also without a clear answer: the copy then writes it, and the registry decides. */
  hasManifest(digest: string, signal: AbortSignal): Promise<boolean>;
  /** As `hasManifest`. */
  hasBlob(digest: string, signal: AbortSignal): Promise<boolean>;
  /** Whether the registry says 404. Rejects without a clear answer. */
  lacksBlob(digest: string, signal: AbortSignal): Promise<boolean>;
}

const blobStep = 'checking for a layer';

export function createExistenceChecks(sendRead: SendRead): ExistenceChecks {
  async function isHeld(
    request: Parameters<SendRead>[0],
    digest: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    // Artifactory sends 403 for what does not exist, and other registries do not support HEAD.
    const response = await sendRead(request, [403, 404, 405], signal);
    if (response === undefined) return false;
    await drop(response);
    if (isWebPage(response)) return false;
    const held = headerOf(response, 'docker-content-digest');
    return held === undefined || held === digest || algorithmOf(held) !== algorithmOf(digest);
  }

  return {
    async hasManifest(digest, signal) {
      const path = `manifests/${digest}`;
      const step = 'checking for a manifest';
      return await isHeld({ method: 'HEAD', path, headers: { accept }, step }, digest, signal);
    },
    hasBlob: (digest, signal) => isHeld(headBlob(digest), digest, signal),
    async lacksBlob(digest, signal) {
      const response = await sendRead(headBlob(digest), [404], signal);
      if (response === undefined) return true;
      await drop(response);
      if (!isWebPage(response)) return false;
      const message = `${blobStep}: it served a web page; check for a proxy or a login page in front of it`;
      throw new RegistryError('UNAVAILABLE', message, { status: 200 });
    },
  };
}

function headBlob(digest: string): Parameters<SendRead>[0] {
  return { method: 'HEAD', path: `blobs/${digest}`, step: blobStep };
}

/** A page of a proxy. Registries that serve blobs as text send their digest. */
function isWebPage(response: RegistryResponse): boolean {
  const mediaType = parseMediaType(headerOf(response, 'content-type'));
  return mediaType === 'text/html' && headerOf(response, 'docker-content-digest') === undefined;
}
