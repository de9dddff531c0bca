/**
 * The manifests of knative/ with the names, image and configuration of this installation.
 * Reads only files and `kubectl kustomize`; changes nothing in the cluster.
 */
export { toIdentityPolicy } from './identity.ts';
export { type Manifests, readManifests, toHost, toYaml } from './manifests.ts';
