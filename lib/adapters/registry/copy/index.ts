/**
 * Copies an image from repository to repository: blobs, then manifests, children before parents.
 * Streams blobs through memory and checks them; writes nothing to disk.
 */
export { createBlobParts } from './blob-parts.ts';
export { copyImage, type ImageCopy } from './copy-image.ts';
export { isComplete } from './is-complete.ts';
export { copyReferrers, findReferrers } from './referrers.ts';
export { createSharedLayers } from './shared-layers.ts';
export { createUploadOnce } from './upload-once.ts';
export { writeMarkers, writeSmallBlob, writeTag } from './write-tag.ts';
