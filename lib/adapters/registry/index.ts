/** Imported dynamically, so that a process without this adapter does not load undici. */
export type { RegistryCloner } from './cloner.ts';
export { openCaBundle } from './http/index.ts';
export { type BackupRegistry, openBackupRegistry, openRegistryCloner } from './open.ts';
