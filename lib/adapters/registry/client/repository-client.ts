import { digestOf, isDigest } from '../../../image/digest.ts';
import { isPath, isTag } from '../../../image/reference.ts';
import type { BackoffOptions } from '../../../util/backoff.ts';
import type { Scope } from '../auth/index.ts';
import { RegistryError } from '../errors/index.ts';
import { drop, headerOf, parseMediaType } from '../http/index.ts';
import { isWebPage, type RegistryResponse, type Send, webPageError } from '../transport/index.ts';
import { createExistenceChecks, type ExistenceChecks } from './existence.ts';
import { listNames } from './list-names.ts';
import { manifestTypes, maxManifestBytes } from './manifest.ts';
import {
  createManifestReader,
  type ManifestReader,
  type ServedManifest,
} from './manifest-reader.ts';
import { type BlobReader, createBlobReader } from './open-blob.ts';
import { createSendRead } from './send-read.ts';
import { createUploads, transientDigestCodes, type Uploads } from './uploads.ts';

/** The verbs of the distribution API for one repository. */
export interface RepositoryClient extends ManifestReader, ExistenceChecks, BlobReader, Uploads {
  putManifest(
    reference: string,
    manifest: ServedManifest,
    signal: AbortSignal,
  ): Promise<{ readonly hasSubject: boolean }>;
  /** Manifests whose subject is `digest`; `undefined` if the registry lacks the referrers API. */
  getReferrers(digest: string, signal: AbortSignal): Promise<ServedManifest | undefined>;
  /** Empty if the repository does not exist. */
  listTags(signal: AbortSignal): Promise<readonly string[]>;
  /** All repositories of the registry; empty if it has no catalog. */
  listRepositories(signal: AbortSignal): Promise<readonly string[]>;
  /** Deletes a manifest with every tag that holds it. */
  deleteManifest(digest: string, signal: AbortSignal): Promise<void>;
}

const [indexType] = manifestTypes;
const writeStep = 'writing the manifest';
const lateBlobPauseMs = 1_000;

type Sleep = BackoffOptions['sleep'];

export function createRepositoryClient(
  send: Send,
  registry: URL,
  path: string,
  sleep: Sleep,
): RepositoryClient {
  const pull: readonly Scope[] = [`repository:${path}:pull`];
  const push: readonly Scope[] = [`repository:${path}:pull,push`];
  const deletion: readonly Scope[] = [`repository:${path}:pull,delete`];

  const urlOf = (below: string): URL => new URL(`/v2/${path}/${below}`, registry);

  const sendRead = createSendRead(send, urlOf, pull);
  const reader = createManifestReader(sendRead);

  async function writeManifest(
    reference: string,
    { bytes, mediaType }: ServedManifest,
    signal: AbortSignal,
  ): Promise<RegistryResponse> {
    const response = await send(
      {
        method: 'PUT',
        url: urlOf(`manifests/${reference}`),
        headers: { 'content-type': mediaType },
        body: bytes,
        scopes: push,
        expect: [200, 201, 202],
        // distribution 2.8 sends it while another client writes the same manifest.
        transientCodes: transientDigestCodes(reference),
        step: writeStep,
      },
      signal,
    );
    await drop(response);
    return response;
  }

  /** A registry with several servers may not know yet the layers that it has just received. */
  async function writeAfterItsBlobs(
    reference: string,
    manifest: ServedManifest,
    signal: AbortSignal,
  ): Promise<RegistryResponse> {
    try {
      return await writeManifest(reference, manifest, signal);
    } catch (error) {
      if (!isCode(error, 'MANIFEST_BLOB_UNKNOWN')) throw explainType(error, manifest);
      await sleep(lateBlobPauseMs, signal);
      return await writeManifest(reference, manifest, signal);
    }
  }

  /** Some registries answer 200 instead of 201, and so does a page in front of a registry. */
  async function assertAccepted(
    reference: string,
    { digest }: ServedManifest,
    response: RegistryResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const isProven = headerOf(response, 'docker-content-digest') !== undefined;
    if (response.status !== 200 || isProven) return;
    if (isWebPage(response)) throw webPageError(writeStep, response);
    const held = await reader.headManifest(reference, signal);
    if (held?.digest === digest) return;
    throw new RegistryError('REFUSED', `${writeStep}: status 200, and it does not have it`, {
      status: 200,
    });
  }

  return {
    ...createBlobReader(sendRead),
    ...reader,
    ...createExistenceChecks(sendRead),
    ...createUploads(send, registry, path),

    async putManifest(reference, manifest, signal) {
      const first = await writeAfterItsBlobs(reference, manifest, signal);
      // A manifest that was corrupted on the way would look like one that another client pushed.
      const response = isAsSent(first, manifest)
        ? first
        : await writeManifest(reference, manifest, signal);
      if (!isAsSent(response, manifest)) {
        const message = `${writeStep}: it stored other content than it was sent`;
        throw new RegistryError('REFUSED', message);
      }
      await assertAccepted(reference, manifest, response, signal);
      return { hasSubject: headerOf(response, 'oci-subject') !== undefined };
    },

    async getReferrers(digest, signal) {
      const request = {
        method: 'GET',
        path: `referrers/${digest}`,
        headers: { accept: indexType },
        maxBytes: maxManifestBytes,
        step: 'reading referrers',
      } as const;
      // Registries without the API send one of these, or a page of something else.
      const response = await sendRead(request, [204, 400, 403, 404, 405, 406, 501], signal);
      if (response === undefined) return undefined;
      const { bytes = new Uint8Array() } = response;
      const mediaType = parseMediaType(headerOf(response, 'content-type'));
      return mediaType === indexType ? { bytes, digest: digestOf(bytes), mediaType } : undefined;
    },

    async listTags(signal) {
      const url = urlOf('tags/list');
      const step = 'listing its tags';
      const request = { url, scopes: pull, field: 'tags', isName: isTag, step } as const;
      return await listNames(send, request, signal);
    },

    async listRepositories(signal) {
      const url = new URL('/v2/_catalog', registry);
      const scopes = ['registry:catalog:*'];
      const step = 'listing its repositories';
      const request = { url, scopes, field: 'repositories', isName: isPath, step } as const;
      return await listNames(send, request, signal);
    },

    async deleteManifest(digest, signal) {
      // By a tag, some registries delete the manifest of all its other tags, too.
      if (!isDigest(digest)) throw new TypeError(`${digest} is not a digest`);
      const response = await send(
        {
          method: 'DELETE',
          url: urlOf(`manifests/${digest}`),
          scopes: deletion,
          expect: [200, 202, 204, 404],
          step: 'deleting a manifest',
        },
        signal,
      );
      await drop(response);
    },
  };
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof RegistryError && error.code === code;
}

/** zot accepts only OCI media types unless its configuration says otherwise, and names no reason. */
function explainType(error: unknown, { mediaType }: ServedManifest): unknown {
  const isUnsupportedType = error instanceof RegistryError && error.status === 415;
  if (!isUnsupportedType || !mediaType.startsWith('application/vnd.docker.')) return error;
  const message = `${writeStep}: it accepts no images in docker's format (${mediaType}); if it is zot, set http.compat to ["docker2s2"]`;
  return new RegistryError('REFUSED', message, { cause: error, status: 415 });
}

/** The registry may send the digest in another algorithm, but not another digest in the same one. */
function isAsSent(response: RegistryResponse, { bytes, digest }: ServedManifest): boolean {
  const stored = headerOf(response, 'docker-content-digest');
  return stored === undefined || stored === digest || stored === digestOf(bytes);
}
