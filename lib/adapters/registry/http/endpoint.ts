import { dockerHub } from '../../../image/reference.ts';
import { createBoundedMap } from '../../../util/bounded-map.ts';
import { isTlsProblem, RegistryError, unsupported } from '../errors/index.ts';
import { kindOfHostname } from './address.ts';
import type { Http } from './http.ts';
import { drop } from './response.ts';

export interface EndpointOptions {
  readonly http: Pick<Http, 'send'>;
  /** Hosts, with their ports, that use plain http. */
  readonly insecureRegistries: readonly string[];
  readonly insideCluster: boolean;
}

/** Finds the base URL of a registry's API: `docker.io` → `https://registry-1.docker.io`. */
export type FindEndpoint = (domain: string, signal: AbortSignal) => Promise<URL>;

const hubHost = 'registry-1.docker.io';
const maxEndpoints = 1_000;

/**
 * Chooses https unless the registry is listed as insecure. On loopback outside a cluster it tries https first and falls back
 * to plain http, as dockerd does; there is no other fallback.
 */
export function createFindEndpoint({
  http,
  insecureRegistries,
  insideCluster,
}: EndpointOptions): FindEndpoint {
  const endpoints = createBoundedMap<string, URL>(maxEndpoints);
  const insecure = new Set(insecureRegistries);

  return async function findEndpoint(domain, signal) {
    if (domain === dockerHub) return new URL(`https://${hubHost}`);
    const secure = toHttps(domain);
    if (insecure.has(domain)) return toPlainHttp(domain);
    if (insideCluster || kindOfHostname(secure.hostname) !== 'loopback') return secure;
    const cached = endpoints.get(domain);
    if (cached !== undefined) return cached;
    const { base, isCertain } = await probe(domain, secure, signal);
    if (isCertain) endpoints.set(domain, base);
    return base;
  };

  /** The result is certain only if the registry answered: a registry that is down may use https later. */
  async function probe(
    domain: string,
    secure: URL,
    signal: AbortSignal,
  ): Promise<{ readonly base: URL; readonly isCertain: boolean }> {
    const url = new URL('/v2/', secure);
    try {
      await drop(await http.send({ method: 'HEAD', url, signal, step: `connecting to ${domain}` }));
      return { base: secure, isCertain: true };
    } catch (error) {
      // A bad certificate means https: a fallback to plain http would send the password in clear text.
      if (!(error instanceof RegistryError) || isTlsProblem(error.problem)) throw error;
      return { base: toPlainHttp(domain), isCertain: error.problem === 'not-https' };
    }
  }
}

/** The grammar of image names allows ports and addresses that do not exist. */
function toHttps(domain: string): URL {
  const url = URL.parse(`https://${domain}`);
  if (url !== null) return url;
  throw unsupported(`${domain} is not a valid registry host`);
}

function toPlainHttp(domain: string): URL {
  return new URL(`http://${domain}`);
}
