/**
 * A distribution registry in memory, for the demo and the tests, with faults that a test can add.
 * It shares no code with the registry client, so the two check each other.
 */
export {
  createMemoryRegistry,
  type MemoryRegistry,
  type MemoryRegistryOptions,
} from './app.ts';
export {
  answer,
  caselessTags,
  changeBody,
  changeContentLength,
  changeHeaders,
  changeLocation,
  corruptBody,
  createHold,
  createTrickle,
  cutBody,
  dropConnection,
  immutableTags,
  type ModeName,
  type ModeOptions,
  modes,
  on,
  redirect,
  refuseMount,
  rejectUpload,
  useMode,
} from './faults/index.ts';
export {
  emptyConfig,
  type Image,
  makeImage,
  makeIndex,
  makeReferrer,
  makeSignature,
  referrersTag,
} from './images/index.ts';
export { type ServedRegistry, serveMemoryRegistry } from './serve.ts';
export { seed } from './storage/index.ts';
