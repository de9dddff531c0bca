/**
 * The state of an installation: the registration, the certificate, the objects, the pods and the namespaces.
 * Changes nothing; waits for objects to become ready.
 */
export { type Readiness, readReadiness, waitUntilReady } from './readiness.ts';
export { formatStatus, readStatus } from './status.ts';
