import * as v from 'valibot';
import { RegistryError } from '../errors/index.ts';

export interface Token {
  readonly value: string;
  /** How long it may be used. */
  readonly usableMs: number;
}

/** The specification's default, and its floor. */
const minSeconds = 60;
/** A token is not begun to be used in the last tenth of its life. */
const usableShare = 0.9;
/** What may stand in a header; anything else would split it. Few servers take one that is longer. */
const headerText = /^[\x21-\x7e]{1,16384}$/;

const text = v.fallback(v.string(), '');

const schema = v.object({
  token: v.optional(text, ''),
  access_token: v.optional(text, ''),
  expires_in: v.optional(v.fallback(v.number(), minSeconds), minSeconds),
});

/** Reads the answer of a token server (distribution `spec/auth/token.md`). Throws `RegistryError` `REFUSED`. */
export function parseToken(body: string): Token {
  const parsed = v.safeParse(schema, parseJson(body));
  const {
    token = '',
    access_token = '',
    expires_in = minSeconds,
  } = parsed.success ? parsed.output : {};
  const value = access_token === '' ? token : access_token;
  if (!headerText.test(value)) {
    // Never a cause: it would quote the token.
    throw new RegistryError('REFUSED', 'authenticating: its token server sent no token');
  }
  return { value, usableMs: Math.max(minSeconds, expires_in) * 1000 * usableShare };
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    // As good as an empty answer.
    return undefined;
  }
}
