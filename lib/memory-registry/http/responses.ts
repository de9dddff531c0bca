import { toJsonBytes } from '../images/index.ts';

/** Error codes, statuses and messages of distribution 2.8.2 (registry/api/v2/errors.go, registry/api/errcode/register.go). */
const errorCodes = {
  BLOB_UNKNOWN: [404, 'blob unknown to registry'],
  BLOB_UPLOAD_INVALID: [404, 'blob upload invalid'],
  BLOB_UPLOAD_UNKNOWN: [404, 'blob upload unknown to registry'],
  DENIED: [403, 'requested access to the resource is denied'],
  DIGEST_INVALID: [400, 'provided digest did not match uploaded content'],
  MANIFEST_BLOB_UNKNOWN: [400, 'blob unknown to registry'],
  MANIFEST_INVALID: [400, 'manifest invalid'],
  MANIFEST_UNKNOWN: [404, 'manifest unknown'],
  NAME_UNKNOWN: [404, 'repository name not known to registry'],
  RANGE_INVALID: [416, 'invalid content range'],
  SIZE_INVALID: [400, 'provided length did not match content length'],
  TOOMANYREQUESTS: [429, 'too many requests'],
  UNAUTHORIZED: [401, 'authentication required'],
  UNAVAILABLE: [503, 'service unavailable'],
  UNKNOWN: [500, 'unknown error'],
  UNSUPPORTED: [405, 'The operation is unsupported.'],
} as const satisfies Record<string, readonly [number, string]>;

export type ErrorCode = keyof typeof errorCodes;

interface JsonResponseOptions {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** By default, the status and the message are those of the code. */
export interface ErrorResponseOptions extends JsonResponseOptions {
  readonly message?: string;
  /** One error per detail. @default one error without a detail */
  readonly details?: readonly unknown[];
}

/** Responds with the error body of the specification: `{"errors":[{code,message,detail}]}`. */
export function respondError(code: ErrorCode, options: ErrorResponseOptions = {}): Response {
  const [ownStatus, ownMessage] = errorCodes[code];
  const { status = ownStatus, message = ownMessage, headers = {}, details = [undefined] } = options;
  const errors = details.map((detail) => ({ code, message, detail }));
  return respondJson({ errors }, { status, headers });
}

/** Responds as distribution's router does to a path or method outside its API: plain text, no error code. */
export function respondRouteError(
  status: 404 | 405,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const text = status === 404 ? '404 page not found\n' : 'Method Not Allowed\n';
  return new Response(text, {
    status,
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'content-length': String(text.length),
      ...headers,
    },
  });
}

/** Like `Response.json`, with a `Content-Length`, which a HEAD response needs. */
export function respondJson(
  value: unknown,
  { status = 200, headers = {} }: JsonResponseOptions = {},
): Response {
  const bytes = toJsonBytes(value);
  return new Response(bytes, {
    status,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'content-length': String(bytes.length),
      ...headers,
    },
  });
}
