/**
 * Copies an image from repository to repository: blobs, then manifests, children before parents.
 * Bytes stream through and are checked; nothing is kept on disk.
 */
export { copyImage, type ImageCopy } from './copy-image.ts';
export { isComplete } from './integrity.ts';
export { writeMarkers } from './marker.ts';
export { copyReferrers } from './referrers.ts';
export { writeSmallBlob } from './small-blob.ts';
export { createUploadOnce } from './upload-once.ts';
export { writeTag } from './write-tag.ts';
