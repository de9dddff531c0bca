/**
 * Asks source registries for one image, with each credential that may open it.
 * An answer or a `CloneError` `SOURCE_…` within the budget; nothing is copied here.
 */
export { rememberSource } from './cached-resolver.ts';
export { type CheckedSource, createSourceCheck } from './check-source.ts';
