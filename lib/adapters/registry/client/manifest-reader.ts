import { algorithmOf, digestOf, isDigest } from '../../../image/digest.ts';
import { RegistryError } from '../errors/index.ts';
import { drop, type HttpResponse, headerOf } from '../http/index.ts';
import type { Ask } from './ask.ts';
import { accept, isKnownType, maxManifestBytes, parseMediaType, quote } from './manifest.ts';
import type { RegistryResponse } from './transport.ts';

/** What a tag or digest is. */
interface SeenManifest {
  /** Without parameters. */
  readonly mediaType: string;
  readonly digest: string;
}

/** A manifest as it was served, to the byte. */
export interface ServedManifest extends SeenManifest {
  readonly bytes: Uint8Array;
}

/** How manifests are looked at, in one repository. */
export interface ManifestReader {
  /** What a tag or digest is, without its bytes. */
  headManifest(reference: string, signal: AbortSignal): Promise<SeenManifest | undefined>;
  /**
   * As `headManifest`, for registries that do not say it: all of it is read, and none is kept. A thousand questions of 4 MiB each are
   * more than our memory, and whoever writes a manifest chooses the registry that answers them.
   */
  digestManifest(reference: string, signal: AbortSignal): Promise<SeenManifest | undefined>;
  /** The bytes, checked against their digest. */
  getManifest(reference: string, signal: AbortSignal): Promise<ServedManifest | undefined>;
}

const step = 'reading its manifest';

export function createManifestReader(ask: Ask): ManifestReader {
  async function headManifest(
    reference: string,
    signal: AbortSignal,
  ): Promise<SeenManifest | undefined> {
    const step = 'looking it up';
    const request = {
      method: 'HEAD',
      rest: `manifests/${reference}`,
      headers: { accept },
      step,
    } as const;
    const answer = await ask(request, [404], signal);
    if (answer === undefined) return undefined;
    await drop(answer);
    const digest = headerOf(answer, 'docker-content-digest');
    // Some registries leave the digest out of a HEAD.
    if (digest === undefined) return await digestManifest(reference, signal);
    if (!isDigest(digest)) throw new RegistryError('REFUSED', `${step}: its digest cannot be read`);
    if (isDigest(reference) && digest !== reference) {
      if (algorithmOf(digest) === algorithmOf(reference)) throw otherDigest(step);
      // The specification lets it say the digest by the algorithm that it stores by.
      return await digestManifest(reference, signal);
    }
    return { digest, mediaType: parseMediaType(headerOf(answer, 'content-type')) };
  }

  async function digestManifest(
    reference: string,
    signal: AbortSignal,
  ): Promise<SeenManifest | undefined> {
    const digestLike = (answer: Pick<HttpResponse, 'headers'>): string | undefined =>
      likeOf(reference, answer);
    const answer = await ask({ ...get(reference), digestLike }, [404], signal);
    return answer && check(reference, answer, answer.digest);
  }

  async function getManifest(
    reference: string,
    signal: AbortSignal,
  ): Promise<ServedManifest | undefined> {
    const answer = await ask(get(reference), [404], signal);
    if (answer === undefined) return undefined;
    const { bytes = new Uint8Array() } = answer;
    return { bytes, ...check(reference, answer, digestOf(bytes, likeOf(reference, answer))) };
  }

  return { headManifest, digestManifest, getManifest };
}

function get(reference: string): Parameters<Ask>[0] {
  return {
    method: 'GET',
    rest: `manifests/${reference}`,
    headers: { accept },
    maxBytes: maxManifestBytes,
    step,
  };
}

/** What vouches for the bytes; for those of a tag that is the registry alone. */
function wantedOf(reference: string, answer: Pick<HttpResponse, 'headers'>): string | undefined {
  return isDigest(reference) ? reference : headerOf(answer, 'docker-content-digest');
}

function likeOf(reference: string, answer: Pick<HttpResponse, 'headers'>): string | undefined {
  const wanted = wantedOf(reference, answer);
  return wanted !== undefined && isDigest(wanted) ? wanted : undefined;
}

function check(reference: string, answer: RegistryResponse, digest = ''): SeenManifest {
  const mediaType = parseMediaType(headerOf(answer, 'content-type'));
  const wanted = wantedOf(reference, answer);
  if (wanted === undefined && !isKnownType(mediaType)) throw noManifest(mediaType);
  if (wanted !== undefined && wanted !== digest) throw otherDigest(step);
  return { digest, mediaType };
}

/** With no digest to check it by, the login page of a proxy would pass for the image. */
function noManifest(mediaType: string): RegistryError {
  const served = mediaType === '' ? 'something of no type' : quote(mediaType);
  const message = `${step}: it served ${served} in the place of a manifest; is there a proxy or a login in front of it?`;
  return new RegistryError('UNAVAILABLE', message, { status: 200 });
}

function otherDigest(step: string): RegistryError {
  return new RegistryError('REFUSED', `${step}: it served something else than it was asked for`);
}
