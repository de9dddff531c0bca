export {
  createMemoryRegistry,
  type MemoryRegistry,
  type MemoryRegistryOptions,
} from './app.ts';
export { on } from './faults/faults.ts';
export {
  answer,
  createHold,
  dropConnection,
  redirect,
  refuseMount,
  rejectUpload,
} from './faults/request-faults.ts';
export {
  changeHeaders,
  changeLocation,
  corruptBody,
  createTrickle,
  cutBody,
  lieAboutLength,
} from './faults/response-faults.ts';
export {
  emptyConfig,
  type Image,
  makeImage,
  makeIndex,
  makeReferrer,
  makeSignature,
  referrersTag,
} from './images/make-image.ts';
export { type ServedRegistry, serveMemoryRegistry } from './serve.ts';
export { seed } from './storage/store.ts';
