import { type CircuitBreaker, createCircuitBreaker } from './circuit-breaker.ts';
import { createRateLimits, type RateLimits } from './rate-limits.ts';

/** What is known about registries that do not answer as they should, for all reviews of a process. */
export interface RegistryHealth {
  readonly breaker: CircuitBreaker;
  readonly limits: RateLimits;
  /** One sentence for each registry that is down or limits requests. */
  describe(): readonly string[];
}

export function createRegistryHealth({ now }: { readonly now: () => number }): RegistryHealth {
  const breaker = createCircuitBreaker({ now });
  const limits = createRateLimits({ now });
  return { breaker, limits, describe: () => [...breaker.describe(), ...limits.describe()] };
}
