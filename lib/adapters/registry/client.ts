import { isDigest, isPath, isTag } from '../../image/reference.ts';
import { drop, headerOf } from './answer.ts';
import type { Ask } from './ask.ts';
import type { Scope } from './auth.ts';
import { type OpenBlob, openBlobOf } from './blob-range.ts';
import { RegistryError } from './failure.ts';
import { listNames } from './listing.ts';
import {
  accept,
  algorithmOf,
  digestOf,
  isKnownType,
  maxManifestBytes,
  parseMediaType,
  quote,
} from './manifest.ts';
import { createPresence, type Presence } from './presence.ts';
import type { Send } from './transport.ts';
import { createUploads, type Uploads } from './uploads.ts';

/** A manifest as it was served, to the byte. */
export interface ServedManifest {
  readonly bytes: Uint8Array;
  /** Without parameters. */
  readonly mediaType: string;
  readonly digest: string;
}

/** The verbs of the distribution API (distribution-spec), for one repository of one registry. */
export interface RepositoryClient extends Presence, Uploads {
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
  /** The blob from `offset` on. */
  readonly openBlob: OpenBlob;
  /** Manifests that say that they are about `digest`; `undefined` where the registry has no such API. */
  getReferrers(digest: string, signal: AbortSignal): Promise<ServedManifest | undefined>;
  /** Every tag; none where nothing was ever pushed. */
  listTags(signal: AbortSignal): Promise<readonly string[]>;
  /** Every repository of the whole registry, where it tells. */
  listRepositories(signal: AbortSignal): Promise<readonly string[]>;
  /** Removes a manifest with every tag that holds it. */
  deleteManifest(digest: string, signal: AbortSignal): Promise<void>;
}

const indexType = 'application/vnd.oci.image.index.v1+json';

export function createRepositoryClient(send: Send, registry: URL, path: string): RepositoryClient {
  const pull: readonly Scope[] = [`repository:${path}:pull`];
  const push: readonly Scope[] = [`repository:${path}:pull,push`];
  const remove: readonly Scope[] = [`repository:${path}:pull,delete`];

  const at = (rest: string): URL => new URL(`/v2/${path}/${rest}`, registry);

  const ask: Ask = async ({ rest, ...asked }, absent, signal) => {
    const expect = [200, 206, ...absent];
    const answer = await send({ ...asked, url: at(rest), scopes: pull, expect }, signal);
    if (!absent.includes(answer.status)) return answer;
    await drop(answer);
    return undefined;
  };

  async function headManifest(
    reference: string,
    signal: AbortSignal,
  ): Promise<Omit<ServedManifest, 'bytes'> | undefined> {
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
    if (digest === undefined) return await getManifest(reference, signal);
    if (!isDigest(digest)) throw new RegistryError('REFUSED', `${step}: its digest cannot be read`);
    if (isDigest(reference) && digest !== reference) {
      if (algorithmOf(digest) === algorithmOf(reference)) throw otherDigest(step);
      // The specification lets it say the digest by the algorithm that it stores by.
      return await getManifest(reference, signal);
    }
    return { digest, mediaType: parseMediaType(headerOf(answer, 'content-type')) };
  }

  async function getManifest(
    reference: string,
    signal: AbortSignal,
  ): Promise<ServedManifest | undefined> {
    const step = 'reading its manifest';
    const request = {
      method: 'GET',
      rest: `manifests/${reference}`,
      headers: { accept },
      maxBytes: maxManifestBytes,
      step,
    } as const;
    const answer = await ask(request, [404], signal);
    if (answer === undefined) return undefined;
    const { bytes = new Uint8Array() } = answer;
    const mediaType = parseMediaType(headerOf(answer, 'content-type'));
    const wanted = isDigest(reference) ? reference : headerOf(answer, 'docker-content-digest');
    if (wanted === undefined && !isKnownType(mediaType)) throw noManifest(step, mediaType);
    const digest = digestOf(bytes, wanted !== undefined && isDigest(wanted) ? wanted : 'sha256:');
    if (wanted !== undefined && wanted !== digest) throw otherDigest(step);
    return { bytes, digest, mediaType };
  }

  async function putManifest(
    reference: string,
    { bytes, mediaType, digest }: ServedManifest,
    signal: AbortSignal,
  ): Promise<{ readonly hasSubject: boolean }> {
    const answer = await send(
      {
        method: 'PUT',
        url: at(`manifests/${reference}`),
        headers: { 'content-type': mediaType },
        body: bytes,
        scopes: push,
        expect: [201, 202],
        // Our bytes have this digest. distribution 2.8 says so when it reads what another writer has half written.
        passingCodes: ['DIGEST_INVALID'],
        step: 'writing the manifest',
      },
      signal,
    );
    await drop(answer);
    const stored = headerOf(answer, 'docker-content-digest');
    // It may name what it stored by another algorithm, but not something else by the same.
    if (stored !== undefined && stored !== digest && stored !== digestOf(bytes)) {
      const message = 'writing the manifest: it stored something else than it was given';
      throw new RegistryError('REFUSED', message);
    }
    return { hasSubject: headerOf(answer, 'oci-subject') !== undefined };
  }

  async function getReferrers(
    digest: string,
    signal: AbortSignal,
  ): Promise<ServedManifest | undefined> {
    const step = 'looking for signatures';
    const headers = { accept: indexType };
    // Whoever does not know the question has his own way of saying so.
    const absent = [400, 404, 405, 406, 501];
    const answer = await ask(
      { method: 'GET', rest: `referrers/${digest}`, headers, maxBytes: maxManifestBytes, step },
      absent,
      signal,
    );
    if (answer === undefined) return undefined;
    const { bytes = new Uint8Array() } = answer;
    const mediaType = parseMediaType(headerOf(answer, 'content-type'));
    return { bytes, digest: digestOf(bytes), mediaType };
  }

  async function listTags(signal: AbortSignal): Promise<readonly string[]> {
    const url = at('tags/list');
    const step = 'listing its tags';
    return await listNames(send, { url, scopes: pull, field: 'tags', isName: isTag, step }, signal);
  }

  async function listRepositories(signal: AbortSignal): Promise<readonly string[]> {
    const url = new URL('/v2/_catalog', registry);
    const scopes = ['registry:catalog:*'];
    const step = 'listing its repositories';
    return await listNames(
      send,
      { url, scopes, field: 'repositories', isName: isPath, step },
      signal,
    );
  }

  async function deleteManifest(digest: string, signal: AbortSignal): Promise<void> {
    // Not to be read as a tag's, whatever it holds: by a tag some registries delete what all others hold, too.
    if (!isDigest(digest)) throw new TypeError(`${digest} is no digest`);
    const answer = await send(
      {
        method: 'DELETE',
        url: at(`manifests/${digest}`),
        scopes: remove,
        expect: [200, 202, 204, 404],
        step: 'removing a manifest',
      },
      signal,
    );
    await drop(answer);
  }

  return {
    headManifest,
    getManifest,
    putManifest,
    openBlob: openBlobOf(ask),
    ...createPresence(ask),
    ...createUploads(send, registry, path),
    getReferrers,
    listTags,
    listRepositories,
    deleteManifest,
  };
}

/** With no digest to check it by, the login page of a proxy would pass for the image. */
function noManifest(step: string, mediaType: string): RegistryError {
  const served = mediaType === '' ? 'something of no type' : quote(mediaType);
  const message = `${step}: it served ${served} in the place of a manifest; is there a proxy or a login in front of it?`;
  return new RegistryError('UNAVAILABLE', message, { status: 200 });
}

function otherDigest(step: string): RegistryError {
  return new RegistryError('REFUSED', `${step}: it served something else than it was asked for`);
}
