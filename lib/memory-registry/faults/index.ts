/**
 * Faults that a test adds to chosen requests: lost connections, wrong headers, truncated bodies, delays.
 * A fault changes the exchange only; the store keeps the true bytes.
 */
export { createFaults, type Faults, on } from './faults.ts';
export { type ModeName, type ModeOptions, modes, useMode } from './modes.ts';
export {
  answer,
  createHold,
  dropConnection,
  redirect,
  refuseMount,
  rejectUpload,
} from './request-faults.ts';
export {
  changeBody,
  changeContentLength,
  changeHeaders,
  changeLocation,
  corruptBody,
  createTrickle,
  cutBody,
} from './response-faults.ts';
export { caselessTags, immutableTags } from './tag-faults.ts';
