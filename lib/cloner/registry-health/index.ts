/**
 * Spares registries that are down or limit requests, and remembers failures for controllers.
 * Each answer that is not asked for is a `CloneError` that says when the registry is asked again.
 */
export { type CircuitBreaker, createCircuitBreaker, type GuardedCall } from './circuit-breaker.ts';
export { createNegativeCache } from './negative-cache.ts';
export { createRateLimits, type RateLimits } from './rate-limits.ts';
