/**
 * The manifests of knative/ with the names, image and configuration of this installation, and the files that `just gen` wrote.
 * Reads only files and `kubectl kustomize`; changes nothing in the cluster.
 */
export { type Generated, readGenerated, toCertificates } from './generated.ts';
export { toIdentityPolicy } from './identity.ts';
export { type Manifests, readManifests, toHost, toYaml } from './manifests.ts';
