/** The part of the distribution API that a request is for. */
export type Route =
  | 'base'
  | 'token'
  | 'manifest-head'
  | 'manifest-get'
  | 'manifest-put'
  | 'blob-head'
  | 'blob-get'
  | 'upload-post'
  | 'upload-put'
  | 'other';

export interface ParsedRequest {
  readonly route: Route;
  /** Empty if the request names no repository. */
  readonly repository: string;
  /** Tag, digest or upload name; empty if there is none. */
  readonly reference: string;
}

const routes: ReadonlyMap<string, Route> = new Map([
  ['HEAD manifests', 'manifest-head'],
  ['GET manifests', 'manifest-get'],
  ['PUT manifests', 'manifest-put'],
  ['HEAD blobs', 'blob-head'],
  ['GET blobs', 'blob-get'],
  ['POST blobs/uploads', 'upload-post'],
  ['PUT blobs/uploads', 'upload-put'],
]);

/** Parses method and path without the product's code, so that a mistake there shows. */
export function parseRequest(method: string, path: string): ParsedRequest {
  const [bare = ''] = path.split('?');
  if (bare === '/v2/' || bare === '/v2') return { route: 'base', repository: '', reference: '' };
  if (bare === '/token') return { route: 'token', repository: '', reference: '' };
  const [, repository = '', verb = '', reference = ''] =
    /^\/v2\/(.+)\/(manifests|blobs\/uploads|blobs|tags|referrers)\/([^/]*)$/.exec(bare) ?? [];
  return { route: routes.get(`${method} ${verb}`) ?? 'other', repository, reference };
}
