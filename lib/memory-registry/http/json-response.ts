import { toJsonBytes } from '../images/digest.ts';

/** As `Response.json`, with the length: a HEAD of it says how long it would be. */
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

export interface JsonResponseOptions {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}
