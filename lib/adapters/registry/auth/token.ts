import * as v from 'valibot';
import { RegistryError } from '../errors/index.ts';

export interface Token {
  readonly value: string;
  /** From now on. */
  readonly usableMs: number;
}

/** The default of the specification, and its minimum. */
const minSeconds = 60;
/** A token that is about to expire could expire on the way. */
const usableShare = 0.9;
/** Other characters would split the header; few servers accept a longer one. */
const headerText = /^[\x21-\x7e]{1,16384}$/;

const text = v.fallback(v.string(), '');

/** Anything else is treated as an empty response. */
const schema = v.fallback(
  v.pipe(
    v.string(),
    v.parseJson(),
    v.object({
      token: v.optional(text, ''),
      access_token: v.optional(text, ''),
      expires_in: v.optional(v.fallback(v.number(), minSeconds), minSeconds),
    }),
  ),
  { token: '', access_token: '', expires_in: minSeconds },
);

/** Parses the response of a token server (distribution `spec/auth/token.md`). Throws `RegistryError` `REFUSED`. */
export function parseToken(body: string): Token {
  const { token, access_token, expires_in } = v.parse(schema, body);
  const value = access_token === '' ? token : access_token;
  if (!headerText.test(value)) {
    // No cause: it could quote the token.
    throw new RegistryError('REFUSED', 'authenticating: its token server sent no valid token');
  }
  return { value, usableMs: Math.max(minSeconds, expires_in) * 1000 * usableShare };
}
