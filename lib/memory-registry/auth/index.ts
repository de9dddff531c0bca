/**
 * Basic and bearer authentication as distribution implements it, with a token endpoint for bearer.
 * A request passes only if its credentials grant every access that the request needs.
 */
export { type AuthOptions, createAuth } from './auth.ts';
export type { Tokens } from './tokens.ts';
