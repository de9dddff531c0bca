/**
 * Answers Basic and Bearer challenges and caches tokens.
 * A password is sent only to the registry and to a token server of the same site.
 */
export { type Authorizer, createAuthorizer, type MakeHeader } from './authorizer.ts';
export { scopesOf } from './challenge.ts';
export { createTokenBudget } from './token-budget.ts';
export type { Scope } from './token-server.ts';
