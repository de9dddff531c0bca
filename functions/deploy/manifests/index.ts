/**
 * The manifests of knative/ with the names, image and configuration of this installation.
 * Reads only files.
 */
export { toYaml } from './edit.ts';
export { toIdentityPolicy } from './identity.ts';
export { type Manifests, readManifests, toEventsName, toHost } from './manifests.ts';
export { applyPatches } from './patches.ts';
export { toPodLabels, toPodSelector } from './pod-labels.ts';
export { toRenewalName } from './renewal.ts';
export { toRegistration } from './webhook.ts';
