/**
 * HTTP to addresses that others named: egress policy, certificates, proxies, redirects, size limits.
 * One request at a time; credentials and retries are above.
 */
export { type CaBundle, openCaBundle } from './ca-bundle.ts';
export { createFindEndpoint, type FindEndpoint } from './endpoint.ts';
export { createHttp, type Http, type HttpOptions, type HttpRequest } from './http.ts';
export { redirectOf } from './redirect.ts';
export { digestBody, drop, type HttpResponse, headerOf, readBody } from './response.ts';
