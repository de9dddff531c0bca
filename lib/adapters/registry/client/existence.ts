import { algorithmOf } from '../../../image/digest.ts';
import { RegistryError } from '../errors/index.ts';
import { drop, headerOf } from '../http/index.ts';
import type { Ask } from './ask.ts';
import { accept, parseMediaType } from './manifest.ts';
import type { RegistryResponse } from './transport.ts';

/** Whether a repository holds something already. */
export interface ExistenceChecks {
  /** Whether it need not be written: a registry that does not say is written to, and decides. */
  hasManifest(digest: string, signal: AbortSignal): Promise<boolean>;
  /** As `hasManifest`. */
  hasBlob(digest: string, signal: AbortSignal): Promise<boolean>;
  /** Whether it is certainly not there. Rejects where the registry does not say. */
  lacksBlob(digest: string, signal: AbortSignal): Promise<boolean>;
}

export function createExistenceChecks(ask: Ask): ExistenceChecks {
  async function hasManifest(digest: string, signal: AbortSignal): Promise<boolean> {
    const step = 'looking for a part';
    const request = {
      method: 'HEAD',
      rest: `manifests/${digest}`,
      headers: { accept },
      step,
    } as const;
    return await isHeld(request, digest, signal);
  }

  async function hasBlob(digest: string, signal: AbortSignal): Promise<boolean> {
    const step = 'looking for a layer';
    return await isHeld({ method: 'HEAD', rest: `blobs/${digest}`, step }, digest, signal);
  }

  async function lacksBlob(digest: string, signal: AbortSignal): Promise<boolean> {
    const step = 'looking for a layer';
    const answer = await ask({ method: 'HEAD', rest: `blobs/${digest}`, step }, [404], signal);
    if (answer === undefined) return true;
    await drop(answer);
    if (isPage(answer)) throw noAnswer(step);
    return false;
  }

  async function isHeld(
    request: Parameters<Ask>[0],
    digest: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    // Artifactory says 403 of what is not there, and others do not know HEAD.
    const answer = await ask(request, [403, 404, 405], signal);
    if (answer === undefined) return false;
    await drop(answer);
    if (isPage(answer)) return false;
    const held = headerOf(answer, 'docker-content-digest');
    return held === undefined || held === digest || algorithmOf(held) !== algorithmOf(digest);
  }

  return { hasManifest, hasBlob, lacksBlob };
}

/** What a proxy shows in the place of any answer; registries that serve blobs as text say their digest. */
function isPage(answer: RegistryResponse): boolean {
  const mediaType = parseMediaType(headerOf(answer, 'content-type'));
  return mediaType === 'text/html' && headerOf(answer, 'docker-content-digest') === undefined;
}

function noAnswer(step: string): RegistryError {
  const message = `${step}: it served a web page; is there a proxy or a login in front of it?`;
  return new RegistryError('UNAVAILABLE', message, { status: 200 });
}
