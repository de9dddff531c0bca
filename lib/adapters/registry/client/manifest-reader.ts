import { algorithmOf, digestOf, isDigest } from '../../../image/digest.ts';
import { RegistryError } from '../errors/index.ts';
import { drop, type HttpResponse, headerOf, parseMediaType } from '../http/index.ts';
import type { RegistryResponse } from '../transport/index.ts';
import { accept, type Descriptor, isKnownType, maxManifestBytes, quote } from './manifest.ts';
import type { SendRead } from './send-read.ts';

type Headers = Pick<HttpResponse, 'headers'>;

interface ResolvedManifest {
  /** Without parameters. */
  readonly mediaType: string;
  readonly digest: string;
}

/** A manifest as it was served, byte by byte. */
export interface ServedManifest extends ResolvedManifest {
  readonly bytes: Uint8Array;
}

type Resolve = (reference: string, signal: AbortSignal) => Promise<ResolvedManifest | undefined>;

/** Reads manifests of one repository. */
export interface ManifestReader {
  /** The digest and the type of a tag or digest. */
  readonly headManifest: Resolve;
  /** As `headManifest`; by GET if the registry rejects HEAD, as docker does. */
  readonly resolveManifest: Resolve;
  /** As `resolveManifest`; confirms by GET that the registry does not have it. */
  readonly resolveConfirmed: Resolve;
  /** The bytes, checked against their digest. */
  getManifest(reference: string, signal: AbortSignal): Promise<ServedManifest | undefined>;
  /** As `getManifest`, for an entry of an index; rejects if it is longer than the index says. */
  getChild(
    entry: Pick<Descriptor, 'digest' | 'size'>,
    signal: AbortSignal,
  ): Promise<ServedManifest | undefined>;
}

const headStep = 'resolving the reference';
const step = 'reading its manifest';

export function createManifestReader(sendRead: SendRead): ManifestReader {
  const headManifest: Resolve = async (reference, signal) => {
    const path = `manifests/${reference}`;
    const request = { method: 'HEAD', path, headers: { accept }, step: headStep } as const;
    const response = await sendRead(request, [404], signal);
    if (response === undefined) return undefined;
    await drop(response);
    const digest = headerOf(response, 'docker-content-digest');
    // Some registries leave the digest out of a HEAD response.
    if (digest === undefined) return await digestManifest(reference, signal);
    if (!isDigest(digest)) {
      throw new RegistryError('REFUSED', `${headStep}: the digest that it sent is malformed`);
    }
    if (isDigest(reference) && digest !== reference) {
      if (algorithmOf(digest) === algorithmOf(reference)) throw wrongDigest(headStep);
      // The specification allows the digest in the algorithm that the registry stores by.
      return await digestManifest(reference, signal);
    }
    return { digest, mediaType: parseMediaType(headerOf(response, 'content-type')) };
  };

  const resolveManifest: Resolve = async (reference, signal) => {
    try {
      return await headManifest(reference, signal);
    } catch (error) {
      if (!mayBeOfHead(error)) throw error;
      // A response to HEAD has no body, so only GET brings the reason.
      return await digestManifest(reference, signal);
    }
  };

  /** Keeps no bytes: a thousand concurrent reads of 4 MiB would exceed the memory. */
  const digestManifest: Resolve = async (reference, signal) => {
    const request = { ...get(reference), digestLike: likeOf(reference) };
    const response = await sendRead(request, [404], signal);
    return response && check(reference, response, response.digest);
  };

  async function readManifest(
    reference: string,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<ServedManifest | undefined> {
    const response = await sendRead({ ...get(reference), maxBytes }, [404], signal);
    if (response === undefined) return undefined;
    const { bytes = new Uint8Array() } = response;
    const digest = digestOf(bytes, likeOf(reference)(response));
    return { bytes, ...check(reference, response, digest) };
  }

  return {
    headManifest,
    resolveManifest,
    resolveConfirmed: async (reference, signal) =>
      (await resolveManifest(reference, signal)) ?? (await digestManifest(reference, signal)),
    getManifest: (reference, signal) => readManifest(reference, maxManifestBytes, signal),
    getChild: ({ digest, size }, signal) =>
      readManifest(digest, Math.min(size, maxManifestBytes), signal),
  };
}

function get(reference: string): Parameters<SendRead>[0] {
  return {
    method: 'GET',
    path: `manifests/${reference}`,
    headers: { accept },
    maxBytes: maxManifestBytes,
    step,
  };
}

/** The digest that the bytes must have; that of a tag comes from the registry. */
function expectedDigest(reference: string, response: Headers): string | undefined {
  return isDigest(reference) ? reference : headerOf(response, 'docker-content-digest');
}

/** A digest in the algorithm by which to digest the bytes. */
function likeOf(reference: string): (response: Headers) => string | undefined {
  return (response) => {
    const expected = expectedDigest(reference, response);
    return expected !== undefined && isDigest(expected) ? expected : undefined;
  };
}

function check(reference: string, response: RegistryResponse, digest = ''): ResolvedManifest {
  const mediaType = parseMediaType(headerOf(response, 'content-type'));
  const expected = expectedDigest(reference, response);
  if (expected === undefined && !isKnownType(mediaType)) throw noManifest(mediaType);
  if (expected !== undefined && expected !== digest) throw wrongDigest(step);
  return { digest, mediaType };
}

/** Without a digest to check, the login page of a proxy would count as a manifest. */
function noManifest(mediaType: string): RegistryError {
  const served = mediaType === '' ? 'content without a type' : quote(mediaType);
  const message = `${step}: it served ${served} instead of a manifest; check for a proxy or a login page in front of it`;
  return new RegistryError('UNAVAILABLE', message, { status: 200 });
}

/** Whether a request by GET may succeed. 500 is the answer of some registries to what they do not support. */
function mayBeOfHead(error: unknown): boolean {
  if (!(error instanceof RegistryError)) return false;
  const { status = 0, isTransient } = error;
  return status === 500 || (status >= 400 && !isTransient);
}

function wrongDigest(step: string): RegistryError {
  return new RegistryError('REFUSED', `${step}: it served content with another digest`);
}
