import { isDigest } from '../../image/digest.ts';
import { type Exchange, fail, failRoute, isByDigest, originOf, readBody } from '../http/index.ts';
import {
  type Bytes,
  type ManifestContent,
  manifestTypes,
  parseManifest,
  toDigest,
} from '../images/index.ts';
import type { Store, StoredManifest } from '../storage/index.ts';

/** What readers and writers of manifests must be able to rely on (distribution-spec "Pushing Manifests"). */
const maxManifestBytes = 4 * 1024 * 1024;

interface Place {
  readonly repository: string;
  readonly reference: string;
}

export interface ManifestOptions {
  /** Whether `OCI-Subject` is answered to a manifest with a subject. */
  readonly referrers: boolean;
}

/** `/v2/NAME/manifests/REFERENCE`. */
export async function serveManifest(
  store: Store,
  exchange: Exchange,
  place: Place,
  options: ManifestOptions,
): Promise<Response> {
  if (isByDigest(place.reference) && !isDigest(place.reference)) return fail('DIGEST_INVALID');
  switch (exchange.method) {
    case 'GET':
    case 'HEAD':
      return readManifest(store, exchange, place);
    case 'PUT':
      return await writeManifest(store, exchange, place, options);
    case 'DELETE':
      return store.deleteManifest(place.repository, place.reference)
        ? new Response(null, { status: 202 })
        : fail('MANIFEST_UNKNOWN');
    default:
      return failRoute(405, { allow: 'DELETE, GET, HEAD, PUT' });
  }
}

function readManifest(store: Store, { headers }: Exchange, place: Place): Response {
  const asked = store.manifest(place.repository, place.reference);
  if (asked === undefined) {
    const detail = isByDigest(place.reference)
      ? { Name: place.repository, Revision: place.reference }
      : { Tag: place.reference };
    return fail('MANIFEST_UNKNOWN', { details: [detail] });
  }
  const accepts = toAccepts(headers.get('accept'));
  const manifest = isByDigest(place.reference)
    ? asked
    : substitute(store, place.repository, asked, accepts);
  if (!accepts(manifest.mediaType) && isOci(manifest.mediaType)) {
    // Distribution's words, and its surprise: what is not accepted is not found.
    const what = manifest.content.isIndex ? ['index', 'indexes'] : ['manifest', 'manifests'];
    const message = `OCI ${what[0]} found, but accept header does not support OCI ${what[1]}`;
    return fail('MANIFEST_UNKNOWN', { message });
  }
  const etag = `"${manifest.digest}"`;
  const common = { 'docker-content-digest': manifest.digest, etag };
  const known = headers.get('if-none-match');
  if (known === etag || known === manifest.digest) {
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

/** No header and wildcards: distribution takes them for docker's first manifests, of which we hold none; we take them for anything. */
function toAccepts(accept: string | null): (mediaType: string) => boolean {
  const types = (accept ?? '*/*').split(',').map((type) => type.split(';')[0]?.trim() ?? '');
  return (mediaType) =>
    types.includes('*/*') || types.includes('application/*') || types.includes(mediaType);
}

function isOci(mediaType: string): boolean {
  return mediaType.startsWith('application/vnd.oci.');
}

/** To a client that does not know docker's lists, distribution gives the linux/amd64 image of the tag, and so another digest. */
function substitute(
  store: Store,
  repository: string,
  asked: StoredManifest,
  accepts: (mediaType: string) => boolean,
): StoredManifest {
  if (asked.mediaType !== manifestTypes.docker.index || accepts(asked.mediaType)) return asked;
  const chosen = asked.content.defaultChild;
  return (chosen === undefined ? undefined : store.manifest(repository, chosen)) ?? asked;
}

async function writeManifest(
  store: Store,
  exchange: Exchange,
  { repository, reference }: Place,
  { referrers }: ManifestOptions,
): Promise<Response> {
  const bytes = await readBody(exchange.body, maxManifestBytes);
  if (bytes === undefined) {
    // Distribution 2.8 says 400; the specification says 413.
    return fail('MANIFEST_INVALID', { status: 413, message: 'manifest too large' });
  }
  const mediaType = (exchange.headers.get('content-type') ?? '').split(';')[0]?.trim() ?? '';
  const content = tryParse(mediaType, bytes);
  if (typeof content === 'string') return fail('MANIFEST_INVALID', { details: [content] });
  const [algorithm] = reference.split(':');
  if (isByDigest(reference) && toDigest(bytes, algorithm) !== reference) {
    return fail('DIGEST_INVALID');
  }

  const missing = [
    ...content.blobs.filter((digest) => store.blob(repository, digest) === undefined),
    ...content.children.filter((digest) => store.manifest(repository, digest) === undefined),
  ];
  if (missing.length > 0) return fail('MANIFEST_BLOB_UNKNOWN', { details: missing });

  const { digest } = isByDigest(reference)
    ? store.putManifest(repository, { mediaType, bytes, digest: reference })
    : store.putManifest(repository, { mediaType, bytes }, reference);
  return new Response(null, {
    status: 201,
    headers: {
      location: `${originOf(exchange)}/v2/${repository}/manifests/${digest}`,
      'docker-content-digest': digest,
      ...(referrers && content.subject && { 'oci-subject': content.subject.digest }),
    },
  });
}

function tryParse(mediaType: string, bytes: Bytes): ManifestContent | string {
  try {
    return parseManifest(mediaType, bytes);
  } catch (error) {
    // Whatever is wrong with the bytes is the pusher's to know.
    return error instanceof Error ? error.message : String(error);
  }
}
