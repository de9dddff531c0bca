export { openCaBundle } from './http/index.ts';
/** Imported dynamically, so that undici is loaded by nobody who does not use it. */

export { type BackupRegistry, openBackupRegistry, openRegistryCloner } from './open.ts';
