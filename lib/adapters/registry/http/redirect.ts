import { RegistryError } from '../errors/index.ts';
import { type HttpResponse, headerOf } from './response.ts';

/** Where an answer sends us, if it does. Only reads are followed, and never from https to http. */
export function redirectOf(
  answer: Pick<HttpResponse, 'status' | 'headers'>,
  from: URL,
  { method, step }: { readonly method: string; readonly step: string },
): URL | undefined {
  const location = headerOf(answer, 'location');
  const isRedirect = [301, 302, 303, 307, 308].includes(answer.status) && location !== undefined;
  if (!isRedirect || (method !== 'GET' && method !== 'HEAD')) return undefined;
  if (!URL.canParse(location, from)) {
    throw new RegistryError('REFUSED', `${step}: it redirects to an address that cannot be read`);
  }
  const next = new URL(location, from);
  if (from.protocol === 'https:' && next.protocol !== 'https:') {
    throw new RegistryError('REFUSED', `${step}: it redirects from https to plain http`);
  }
  return next;
}
