import { isPath } from '../../image/reference.ts';

/** The resource that a path of the distribution API names. */
export type Target =
  | { readonly kind: 'root' | 'base' | 'catalog' | 'token' | 'unknown' }
  | { readonly kind: 'tags' | 'uploads'; readonly repository: string }
  | { readonly kind: 'manifest'; readonly repository: string; readonly reference: string }
  | { readonly kind: 'blob' | 'referrers'; readonly repository: string; readonly digest: string }
  | { readonly kind: 'upload'; readonly repository: string; readonly uuid: string };

export type TargetKind = Target['kind'];

/** Path of the registry's own token endpoint. */
export const tokenPath = '/token';

const fixed: ReadonlyMap<string, 'root' | 'base' | 'catalog' | 'token'> = new Map([
  ['/', 'root'],
  ['/v2/', 'base'],
  ['/v2/_catalog', 'catalog'],
  [tokenPath, 'token'],
]);

const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
/** The form of a digest in distribution's router (registry/api/v2/descriptors.go); the handler validates it. */
const digestLike = /^[\w+.-]+:[0-9a-fA-F]+$/;

/** Parses a URL path. A repository name may contain `manifests` or `blobs`, so the last match decides. */
export function parseTarget(pathname: string): Target {
  const path = decode(pathname);
  const known = fixed.get(path);
  if (known !== undefined) return { kind: known };
  const [, repository = '', verb = '', rest = ''] =
    /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests|referrers|tags)\/([^/]*)$/.exec(path) ?? [];
  const isUploads = verb === 'blobs/uploads';
  if (!isPath(repository)) return { kind: 'unknown' };
  if (isUploads && rest === '') return { kind: 'uploads', repository };
  if (isUploads && /^[\w.=-]+$/.test(rest)) return { kind: 'upload', repository, uuid: rest };
  if (verb === 'tags' && rest === 'list') return { kind: 'tags', repository };
  // A reference with a colon can only be meant as a digest; the handler rejects a malformed one.
  if (verb === 'manifests' && (tagPattern.test(rest) || rest.includes(':'))) {
    return { kind: 'manifest', repository, reference: rest };
  }
  if ((verb === 'blobs' || verb === 'referrers') && digestLike.test(rest)) {
    return { kind: verb === 'blobs' ? 'blob' : 'referrers', repository, digest: rest };
  }
  return { kind: 'unknown' };
}

/** Whether a manifest reference is meant as a digest: tags have no colon. */
export function isByDigest(reference: string): boolean {
  return reference.includes(':');
}

/** Some clients encode the colon of a digest as `%3A`. */
function decode(pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    // Malformed percent-encoding: the path matches no route.
    return '';
  }
}
