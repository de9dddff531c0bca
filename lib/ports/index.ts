/** The interfaces between the core and the outside, named by role. Each adapter in `lib/adapters` implements some of them. */
export type * from './backup-repository.ts';
export type * from './certificate-store.ts';
export type * from './copy-leases.ts';
export type * from './credentials.ts';
export type * from './event-sink.ts';
export type * from './image-cloner.ts';
export type * from './telemetry.ts';
export type * from './workload-store.ts';
