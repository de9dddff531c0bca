/**
 * Checks before a deployment that the cluster has what `deploy` needs.
 * Lists all problems at once and changes nothing.
 */
export { findOtherWebhooks } from './conflicts.ts';
export { checkCluster } from './preflight.ts';
