import { isPath } from '../../image/reference.ts';

/** What a path of the distribution API names. */
export type Target =
  | { readonly kind: 'root' | 'base' | 'catalog' | 'token' | 'nothing' }
  | { readonly kind: 'tags' | 'uploads'; readonly repository: string }
  | { readonly kind: 'manifest'; readonly repository: string; readonly reference: string }
  | { readonly kind: 'blob' | 'referrers'; readonly repository: string; readonly digest: string }
  | { readonly kind: 'upload'; readonly repository: string; readonly uuid: string };

export type TargetKind = Target['kind'];

/** Where the registry's own token endpoint is. */
export const tokenPath = '/token';

const fixed: ReadonlyMap<string, 'root' | 'base' | 'catalog' | 'token'> = new Map([
  ['/', 'root'],
  ['/v2/', 'base'],
  ['/v2/_catalog', 'catalog'],
  [tokenPath, 'token'],
]);

const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
/** What distribution's router takes for a digest; whether it is one, the handler says (registry/api/v2/descriptors.go). */
const digestLike = /^[\w+.-]+:[0-9a-fA-F]+$/;

/** Reads a URL's path. A name may have any number of components, `manifests` and `blobs` among them: the last ones count. */
export function parseTarget(pathname: string): Target {
  const path = decode(pathname);
  const known = fixed.get(path);
  if (known !== undefined) return { kind: known };
  const [, repository = '', verb = '', rest = ''] =
    /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests|referrers|tags)\/([^/]*)$/.exec(path) ?? [];
  // Greedy: `a/blobs` + `uploads` is a session or the start of one, never a blob.
  const isUploads = verb === 'blobs/uploads';
  if (!isPath(repository)) return { kind: 'nothing' };
  if (isUploads && rest === '') return { kind: 'uploads', repository };
  if (isUploads && /^[\w.=-]+$/.test(rest)) return { kind: 'upload', repository, uuid: rest };
  if (verb === 'tags' && rest === 'list') return { kind: 'tags', repository };
  if (verb === 'manifests' && (tagPattern.test(rest) || digestLike.test(rest))) {
    return { kind: 'manifest', repository, reference: rest };
  }
  if ((verb === 'blobs' || verb === 'referrers') && digestLike.test(rest)) {
    return { kind: verb === 'blobs' ? 'blob' : 'referrers', repository, digest: rest };
  }
  return { kind: 'nothing' };
}

/** Whether a manifest is named by its digest, not by a tag. */
export function isByDigest(reference: string): boolean {
  return digestLike.test(reference);
}

/** Some clients write a digest's colon as `%3A`. */
function decode(pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    // Not a path that names anything.
    return '';
  }
}
