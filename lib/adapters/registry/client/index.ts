/**
 * The verbs of the distribution API for one repository, with retries and credentials.
 * Every manifest is checked against its digest.
 */
export {
  type ClientPoolOptions,
  createClientPool,
  type OpenRepository,
  type RetryPolicy,
} from './client-pool.ts';
export {
  assertNotSchema1,
  type Descriptor,
  isIndexType,
  isManifestType,
  type Layer,
  manifestTypes,
  parseManifest,
  quote,
  requiredBlobs,
} from './manifest.ts';
export type { ServedManifest } from './manifest-reader.ts';
export { openWithSideErrors } from './open-with-side-errors.ts';
export type { RepositoryClient } from './repository-client.ts';
export type { UploadSession } from './uploads.ts';
