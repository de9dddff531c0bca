/** Imported dynamically, so that undici is loaded by nobody who does not use it. */

export { openTrust } from './http/ca-bundle.ts';
export { type BackupRegistry, openBackupRegistry, openRegistryCloner } from './open.ts';
