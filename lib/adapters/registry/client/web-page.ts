import { type HttpResponse, headerOf } from '../http/index.ts';
import { parseMediaType } from './manifest.ts';

/** Whether a response is the page of a proxy. Registries that serve blobs as text send their digest. */
export function isWebPage(response: Pick<HttpResponse, 'headers'>): boolean {
  const mediaType = parseMediaType(headerOf(response, 'content-type'));
  return mediaType === 'text/html' && headerOf(response, 'docker-content-digest') === undefined;
}
