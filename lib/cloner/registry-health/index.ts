/**
 * Spares registries that are down or rate-limited, and remembers failures for controllers. A call that is not sent fails with a
 * `CloneError` that has the time of the next attempt.
 */
export { type CircuitBreaker, createCircuitBreaker, type GuardedCall } from './circuit-breaker.ts';
export { createNegativeCache } from './negative-cache.ts';
export { createRateLimits, type RateLimits } from './rate-limits.ts';
export { createRegistryHealth, type RegistryHealth } from './registry-health.ts';
