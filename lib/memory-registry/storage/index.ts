/**
 * Blobs, manifests, tags and open upload sessions, in memory and without a limit.
 * The store checks only the form of a manifest, so a test can store an incomplete image.
 */
export { createStore, type Store, type StoredBlob, type StoredManifest, seed } from './store.ts';
export { parseUploadState, type UploadSession } from './uploads.ts';
