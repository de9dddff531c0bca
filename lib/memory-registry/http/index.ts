/**
 * Requests and responses of the distribution API: the middleware chain, the parsed path, the error form.
 * A connection is present only when the registry is served, and lets a fault break the response.
 */
export { createConnection } from './connection.ts';
export {
  compose,
  type Exchange,
  type Handler,
  type Middleware,
  readBody,
} from './exchange.ts';
export { type ErrorCode, respondError, respondJson, respondRouteError } from './responses.ts';
export { isByDigest, parseTarget, type TargetKind, tokenPath } from './target.ts';
