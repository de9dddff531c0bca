import { digestOf, isDigest } from '../../../image/digest.ts';
import { isPath, isTag } from '../../../image/reference.ts';
import type { Scope } from '../auth/index.ts';
import { RegistryError } from '../errors/index.ts';
import { drop, headerOf } from '../http/index.ts';
import type { Ask } from './ask.ts';
import { createExistenceChecks, type ExistenceChecks } from './existence.ts';
import { listNames } from './list-names.ts';
import { maxManifestBytes, parseMediaType } from './manifest.ts';
import {
  createManifestReader,
  type ManifestReader,
  type ServedManifest,
} from './manifest-reader.ts';
import { type OpenBlob, openBlobOf } from './open-blob.ts';
import type { RegistryResponse, Send } from './transport.ts';
import { createUploads, type Uploads } from './uploads.ts';

/** The verbs of the distribution API (distribution-spec), for one repository of one registry. */
export interface RepositoryClient extends ManifestReader, ExistenceChecks, Uploads {
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

  async function putManifest(
    reference: string,
    manifest: ServedManifest,
    signal: AbortSignal,
  ): Promise<{ readonly hasSubject: boolean }> {
    const first = await writeManifest(reference, manifest, signal);
    // Garbled on the way, it would stay at a tag, and headOrGet like something that others have put there.
    const answer = isAsGiven(first, manifest)
      ? first
      : await writeManifest(reference, manifest, signal);
    if (!isAsGiven(answer, manifest)) {
      const message = 'writing the manifest: it stored something else than it was given';
      throw new RegistryError('REFUSED', message);
    }
    return { hasSubject: headerOf(answer, 'oci-subject') !== undefined };
  }

  async function writeManifest(
    reference: string,
    { bytes, mediaType }: ServedManifest,
    signal: AbortSignal,
  ): Promise<RegistryResponse> {
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
    return answer;
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
    putManifest,
    openBlob: openBlobOf(ask),
    ...createManifestReader(ask),
    ...createExistenceChecks(ask),
    ...createUploads(send, registry, path),
    getReferrers,
    listTags,
    listRepositories,
    deleteManifest,
  };
}

/** It may name what it stored by another algorithm, but not something else by the same. */
function isAsGiven(answer: RegistryResponse, { bytes, digest }: ServedManifest): boolean {
  const stored = headerOf(answer, 'docker-content-digest');
  return stored === undefined || stored === digest || stored === digestOf(bytes);
}
