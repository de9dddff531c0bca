/**
 * The routes of the distribution API over a store, with the status codes of distribution 2.8.
 * test/real/memory-registry.real.ts compares both and lists the deliberate differences.
 */
export { createProtocol } from './protocol.ts';
