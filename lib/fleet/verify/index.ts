/**
 * Would each workload start if every public registry were gone? Reads the cluster and the registries, changes nothing. What could not
 * be checked is never reported as good.
 */
export { formatMetrics } from './metrics.ts';
export { toDocument, type Verification, type VerifiedImage } from './verification.ts';
export { createVerify, type VerifyDeps } from './verify.ts';
