/**
 * Digests and manifests of OCI and docker images, and builders of images for tests and demos.
 * The builders are deterministic: the same options give the same bytes.
 */
export { type Bytes, toDigest, toJsonBytes } from './digest.ts';
export {
  emptyConfig,
  type Image,
  makeImage,
  makeIndex,
  makeReferrer,
  makeSignature,
  referrersTag,
} from './make-image.ts';
export { type ManifestContent, manifestTypes, parseManifest } from './manifest.ts';
