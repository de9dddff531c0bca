/**
 * Plans copies of an index that have only the listed platforms: reads it, and makes the index that the backup gets.
 * The bytes are a pure function of the source's index and the list.
 */
export { createPlatformSelection, readRoot } from './platform-selection.ts';
