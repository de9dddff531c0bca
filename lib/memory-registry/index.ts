export {
  createMemoryRegistry,
  type MemoryRegistry,
  type MemoryRegistryOptions,
} from './app.ts';
export { on } from './faults.ts';
export {
  emptyConfig,
  type Image,
  makeImage,
  makeIndex,
  makeReferrer,
  makeSignature,
  referrersTag,
} from './images.ts';
export {
  answer,
  createHold,
  dropConnection,
  redirect,
  refuseMount,
  rejectUpload,
} from './request-faults.ts';
export {
  changeHeaders,
  changeLocation,
  corruptBody,
  createTrickle,
  cutBody,
  lieAboutLength,
} from './response-faults.ts';
export { seed } from './seed.ts';
export { type ServedRegistry, serveMemoryRegistry } from './serve.ts';
