/** Imported dynamically, so that undici is loaded by nobody who does not use it. */
export { openRegistryCloner } from './open.ts';
