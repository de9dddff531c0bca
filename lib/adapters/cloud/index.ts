/**
 * The identity of the pod opens the registries of its cloud, through the libraries of the vendors, which are imported at their
 * first use. Nothing here ends in anonymous access: an identity that gives no credentials is a `CloneError`.
 */
export { type CloudIdentities, openCloudIdentities } from './identities.ts';
