/**
 * Talks to the API server: Leases, workloads, Secrets, ServiceAccounts and Namespaces.
 * Import it dynamically: loading the Kubernetes SDK takes half a second.
 */

export { readInstallation } from './installation-reader.ts';
export { createNamespaceAnnotations } from './namespace-annotations.ts';
export {
  openCertificateAccess,
  openEventSink,
  openLeaseStore,
  openNamespaceReader,
  openWorkloadStore,
} from './open.ts';
