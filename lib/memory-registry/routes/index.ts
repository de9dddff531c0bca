/**
 * The routes of the distribution API over a store, with the status codes of distribution 2.8.
 * Differences from distribution are deliberate and have a comment beside them.
 */
export { createProtocol } from './protocol.ts';
