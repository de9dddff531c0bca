/**
 * One copy per target among all replicas, by Leases of the API server. Correctness does not depend on it: without the API
 * server each replica makes its own copies.
 */
export { createLeaseBreaker } from './lease-breaker.ts';
export { type SharedCopies, shareCopies } from './shared-copies.ts';
