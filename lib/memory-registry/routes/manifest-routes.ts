import { isDigest } from '../../image/digest.ts';
import {
  type Exchange,
  isByDigest,
  readBody,
  respondError,
  respondRouteError,
} from '../http/index.ts';
import { type ManifestContent, manifestTypes, parseManifest, toDigest } from '../images/index.ts';
import type { Store, StoredManifest } from '../storage/index.ts';

/** The size that every registry must accept (distribution-spec "Pushing Manifests"). */
const maxManifestBytes = 4 * 1024 * 1024;

interface ManifestRef {
  readonly repository: string;
  readonly reference: string;
}

/** `/v2/NAME/manifests/REFERENCE`; with `referrers`, a push with a subject is answered with `OCI-Subject`. */
export async function serveManifest(
  store: Store,
  exchange: Exchange,
  ref: ManifestRef,
  referrers: boolean,
): Promise<Response> {
  if (isByDigest(ref.reference) && !isDigest(ref.reference)) {
    return respondError('DIGEST_INVALID');
  }
  switch (exchange.method) {
    case 'GET':
    case 'HEAD':
      return readManifest(store, exchange, ref);
    case 'PUT':
      return await writeManifest(store, exchange, ref, referrers);
    case 'DELETE':
      return store.deleteManifest(ref.repository, ref.reference)
        ? new Response(null, { status: 202 })
        : respondError('MANIFEST_UNKNOWN');
    default:
      return respondRouteError(405, { allow: 'DELETE, GET, HEAD, PUT' });
  }
}

function readManifest(store: Store, { headers }: Exchange, ref: ManifestRef): Response {
  const stored = store.manifest(ref.repository, ref.reference);
  if (stored === undefined) {
    const detail = isByDigest(ref.reference)
      ? { Name: ref.repository, Revision: ref.reference }
      : { Tag: ref.reference };
    return respondError('MANIFEST_UNKNOWN', { details: [detail] });
  }
  const accepts = toAccepts(headers.get('accept'));
  const manifest = isByDigest(ref.reference)
    ? stored
    : selectManifest(store, ref.repository, stored, accepts);
  if (!accepts(manifest.mediaType) && isOci(manifest.mediaType)) {
    // Like distribution, answers 404 if the client does not accept the stored OCI media type.
    const [one, many] = manifest.content.isIndex ? ['index', 'indexes'] : ['manifest', 'manifests'];
    const message = `OCI ${one} found, but accept header does not support OCI ${many}`;
    return respondError('MANIFEST_UNKNOWN', { message });
  }
  const etag = `"${manifest.digest}"`;
  const common = { 'docker-content-digest': manifest.digest, etag };
  const cached = headers.get('if-none-match');
  if (cached === etag || cached === manifest.digest) {
    return new Response(null, { status: 304, headers: common });
  }
  return new Response(manifest.bytes, {
    headers: {
      ...common,
      'content-type': manifest.mediaType,
      'content-length': String(manifest.bytes.length),
    },
  });
}

/** A missing header or a wildcard accepts everything; distribution reads it as docker schema 1, which this registry does not have. */
function toAccepts(accept: string | null): (mediaType: string) => boolean {
  const types = (accept ?? '*/*').split(',').map((type) => type.split(';')[0]?.trim() ?? '');
  return (mediaType) =>
    types.includes('*/*') || types.includes('application/*') || types.includes(mediaType);
}

function isOci(mediaType: string): boolean {
  return mediaType.startsWith('application/vnd.oci.');
}

/** Like distribution, serves the linux/amd64 image of a tag to a client that does not accept docker manifest lists. */
function selectManifest(
  store: Store,
  repository: string,
  stored: StoredManifest,
  accepts: (mediaType: string) => boolean,
): StoredManifest {
  if (stored.mediaType !== manifestTypes.docker.index || accepts(stored.mediaType)) return stored;
  return store.manifest(repository, stored.content.defaultChild ?? '') ?? stored;
}

async function writeManifest(
  store: Store,
  exchange: Exchange,
  { repository, reference }: ManifestRef,
  referrers: boolean,
): Promise<Response> {
  const bytes = await readBody(exchange.body, maxManifestBytes);
  if (bytes === undefined) {
    // The specification requires 413; distribution 2.8 sends 400.
    return respondError('MANIFEST_INVALID', {
      status: 413,
      message: 'manifest too large',
      headers: { connection: 'close' },
    });
  }
  const mediaType = (exchange.headers.get('content-type') ?? '').split(';')[0]?.trim() ?? '';
  let content: ManifestContent;
  try {
    content = parseManifest(mediaType, bytes);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return respondError('MANIFEST_INVALID', { details: [problem] });
  }
  const [algorithm] = reference.split(':');
  if (isByDigest(reference) && toDigest(bytes, algorithm) !== reference) {
    return respondError('DIGEST_INVALID');
  }

  const missing = [
    ...content.blobs.filter((digest) => store.blob(repository, digest) === undefined),
    ...content.children.filter((digest) => store.manifest(repository, digest) === undefined),
  ];
  if (missing.length > 0) return respondError('MANIFEST_BLOB_UNKNOWN', { details: missing });

  const { digest } = isByDigest(reference)
    ? store.putManifest(repository, { mediaType, bytes, digest: reference })
    : store.putManifest(repository, { mediaType, bytes }, reference);
  return new Response(null, {
    status: 201,
    headers: {
      location: `${exchange.url.origin}/v2/${repository}/manifests/${digest}`,
      'docker-content-digest': digest,
      ...(referrers && content.subject && { 'oci-subject': content.subject.digest }),
    },
  });
}
