import { RegistryError } from '../errors/index.ts';
import { type HttpResponse, headerOf, parseMediaType } from '../http/index.ts';

/** Whether a response is the page of a proxy. Registries that serve blobs as text send their digest. */
export function isWebPage(response: Pick<HttpResponse, 'headers'>): boolean {
  const mediaType = parseMediaType(headerOf(response, 'content-type'));
  return mediaType === 'text/html' && headerOf(response, 'docker-content-digest') === undefined;
}

export function webPageError(
  step: string,
  { status }: Pick<HttpResponse, 'status'>,
): RegistryError {
  const message = `${step}: it served a web page; check for a proxy or a login page in front of it`;
  return new RegistryError('UNAVAILABLE', message, { status });
}
