import type { Scope } from '../auth/index.ts';
import type { HttpResponse } from '../http/index.ts';
import type { FollowRequest } from './redirects.ts';

/** A request to one registry. */
export interface RegistryRequest extends FollowRequest {
  readonly url: URL;
  readonly scopes: readonly Scope[];
  /** Statuses that are returned; every other one is thrown. */
  readonly expect: readonly number[];
  /** Reads the whole body, up to this size, so that a body cut short is a retry. @default the caller reads the body */
  readonly maxBytes?: number;
  /** Of the body, keeps only the digest, in the algorithm of the digest that this returns. @default keeps the bytes */
  readonly digestLike?: (response: Pick<HttpResponse, 'headers'>) => string | undefined;
  /** @default that of the transport */
  readonly maxAttempts?: number;
  /** Error codes that are transient for this request only. */
  readonly transientCodes?: readonly string[];
}

export interface RegistryResponse extends HttpResponse {
  /** After redirects. */
  readonly url: URL;
  /** Present with `maxBytes`. */
  readonly bytes?: Uint8Array;
  /** Present with `digestLike`. */
  readonly digest?: string;
}

/** Whether the registry itself serves a URL, and not another origin that it refers to. */
export function isOwn(url: URL, registry: URL): boolean {
  return url.origin === registry.origin;
}
