/**
 * Sends requests to a registry with redirects, credentials, pauses after a 429, and retries.
 */
export type { RegistryRequest, RegistryResponse } from './request.ts';
export { createTransport, type Send, type TransportOptions } from './transport.ts';
export { isWebPage, webPageError } from './web-page.ts';
