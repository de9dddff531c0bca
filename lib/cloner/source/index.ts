/**
 * Checks one image at its source registry, with each credential that may open it. Resolves, or rejects with a `CloneError`
 * `SOURCE_…`, within the budget; copies nothing.
 */
export { cacheResolve } from './cached-resolver.ts';
export { type CheckedSource, type CheckSource, createCheckSource } from './check-source.ts';
