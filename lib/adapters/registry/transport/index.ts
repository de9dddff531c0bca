/**
 * Sends requests to a registry with redirects, credentials, pauses after a 429, and retries.
 */
export {
  createTransport,
  type RegistryRequest,
  type RegistryResponse,
  type Send,
  type SendRead,
  type TransportOptions,
} from './transport.ts';
export { isWebPage, webPageError } from './web-page.ts';
