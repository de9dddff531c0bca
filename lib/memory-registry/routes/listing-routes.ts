import { isDigest } from '../../image/digest.ts';
import { type Exchange, fail, failRoute, respondJson } from '../http/index.ts';
import { manifestTypes } from '../images/index.ts';
import type { Store } from '../storage/index.ts';

/** `/v2/_catalog`. */
export function listRepositories(store: Store, exchange: Exchange): Response {
  return page(exchange, store.repositories(), (repositories) => ({ repositories }));
}

/** `/v2/NAME/tags/list`. */
export function listTags(store: Store, exchange: Exchange, name: string): Response {
  if (!store.isKnown(name)) return fail('NAME_UNKNOWN', { details: [{ name }] });
  return page(exchange, store.tags(name), (tags) => ({ name, tags }));
}

/** `/v2/NAME/referrers/DIGEST`: an index, empty where nothing refers to the digest. */
export function listReferrers(
  store: Store,
  { method, url }: Exchange,
  { repository, digest }: { readonly repository: string; readonly digest: string },
): Response {
  if (method !== 'GET' && method !== 'HEAD') return failRoute(405, { allow: 'GET, HEAD' });
  if (!isDigest(digest)) return fail('DIGEST_INVALID');
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

/** `n` at a time after `last`, and a `Link` to the rest. */
function page(
  { method, url }: Exchange,
  names: readonly string[],
  toBody: (names: readonly string[]) => object,
): Response {
  if (method !== 'GET' && method !== 'HEAD') return failRoute(405, { allow: 'GET, HEAD' });
  // What is not a number is passed over, as distribution 2.8 does.
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
