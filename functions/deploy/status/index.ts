/**
 * The state of an installation: the registration, the certificate, the Knative objects and the pods.
 * Reads only; waits for Knative objects to become ready.
 */
export { type Readiness, readReadiness, waitUntilReady } from './readiness.ts';
export { showStatus } from './status.ts';
