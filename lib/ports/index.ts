/** What the core asks of the world, by role; `lib/adapters` fulfils it, one technology each. */
export type * from './backup-repository.ts';
export type * from './copy-leases.ts';
export type * from './credentials.ts';
export type * from './image-cloner.ts';
export type * from './telemetry.ts';
export type * from './workload-store.ts';
