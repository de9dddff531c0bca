import { isDigest } from '../../image/digest.ts';
import { type Exchange, respondError, respondJson, respondRouteError } from '../http/index.ts';
import { manifestTypes } from '../images/index.ts';
import type { Store } from '../storage/index.ts';

/** `/v2/_catalog`. */
export function listRepositories(store: Store, exchange: Exchange): Response {
  return paginate(exchange, store.repositories(), (repositories) => ({ repositories }));
}

/** `/v2/NAME/tags/list`. */
export function listTags(store: Store, exchange: Exchange, name: string): Response {
  if (!store.exists(name)) return respondError('NAME_UNKNOWN', { details: [{ name }] });
  return paginate(exchange, store.tags(name), (tags) => ({ name, tags }));
}

/** `/v2/NAME/referrers/DIGEST`: an index, empty if nothing refers to the digest. */
export function listReferrers(
  store: Store,
  { method, url }: Exchange,
  { repository, digest }: { readonly repository: string; readonly digest: string },
): Response {
  if (method !== 'GET' && method !== 'HEAD') return respondRouteError(405, { allow: 'GET, HEAD' });
  if (!isDigest(digest)) return respondError('DIGEST_INVALID');
  const wanted = url.searchParams.get('artifactType');
  const manifests = store
    .referrers(repository, digest)
    .filter(({ content }) => wanted === null || content.artifactType === wanted)
    .map(({ mediaType, digest, bytes, content: { artifactType, annotations } }) => ({
      mediaType,
      digest,
      size: bytes.length,
      artifactType,
      annotations,
    }));
  return respondJson(
    { schemaVersion: 2, mediaType: manifestTypes.oci.index, manifests },
    {
      headers: {
        'content-type': manifestTypes.oci.index,
        ...(wanted !== null && { 'oci-filters-applied': 'artifactType' }),
      },
    },
  );
}

/** Responds with the next `n` names after `last`, and a `Link` to the next page. */
function paginate(
  { method, url }: Exchange,
  names: readonly string[],
  toBody: (names: readonly string[]) => object,
): Response {
  if (method !== 'GET' && method !== 'HEAD') return respondRouteError(405, { allow: 'GET, HEAD' });
  // Like distribution 2.8, ignores an `n` that is not a number.
  const [n] = /^\d+$/.exec(url.searchParams.get('n') ?? '') ?? [];
  const after = url.searchParams.get('last') ?? '';
  const rest = names.filter((name) => name > after);
  const shown = n === undefined ? rest : rest.slice(0, Number(n));
  const last = shown.at(-1);
  const next = new URLSearchParams({ last: last ?? '', n: n ?? '' });
  const hasMore = last !== undefined && shown.length < rest.length;
  const headers = hasMore ? { link: `<${url.pathname}?${next.toString()}>; rel="next"` } : {};
  return respondJson(toBody(shown), { headers });
}
