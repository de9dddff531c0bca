export {
  createMemoryRegistry,
  type MemoryRegistry,
  type MemoryRegistryOptions,
} from './app.ts';
export {
  answer,
  changeHeaders,
  changeLocation,
  corruptBody,
  createHold,
  createTrickle,
  cutBody,
  dropConnection,
  lieAboutLength,
  on,
  redirect,
  refuseMount,
  rejectUpload,
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
