/** Imported dynamically, so that the Kubernetes SDK (half a second) is loaded by nobody who does not use it. */
export { createNamespaceAnnotations } from './namespace-annotations.ts';
export { openLeaseStore, openNamespaceReader } from './open.ts';
