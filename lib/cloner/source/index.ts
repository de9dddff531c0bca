/**
 * Asks source registries for one image, with each credential that may open it.
 * An answer or a `CloneError` `SOURCE_…` within the budget; nothing is copied here.
 */
export { cacheResolve } from './cached-resolver.ts';
export { type CheckedSource, createCheckSource } from './check-source.ts';
