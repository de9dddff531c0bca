/**
 * HTTP to hosts that manifests and registries name: egress policy, certificates, proxies, redirects, size limits.
 * Credentials and retries are in `transport/`.
 */
export { type CaBundle, openCaBundle } from './ca-bundle.ts';
export { createFindEndpoint, type FindEndpoint } from './endpoint.ts';
export { createHttp, type Http, type HttpOptions, type HttpRequest } from './http.ts';
export {
  digestBody,
  drop,
  type HttpResponse,
  headerOf,
  isPlainHttpToHttps,
  isRead,
  parseMediaType,
  readBody,
  readErrorText,
  redirectOf,
  retryAfterOf,
} from './response.ts';
