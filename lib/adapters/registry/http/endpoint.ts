import { dockerHub } from '../../../image/reference.ts';
import { createBoundedMap } from '../../../util/bounded-map.ts';
import { RegistryError } from '../errors/index.ts';
import { kindOfAddress, literalAddress } from './address.ts';
import type { Http } from './http.ts';
import { drop } from './response.ts';

export interface EndpointOptions {
  readonly http: Http;
  /** Hosts, with their ports, that are spoken to in plain http. */
  readonly insecureRegistries: readonly string[];
  readonly insideCluster: boolean;
}

/** Finds the base URL of a registry's API: `docker.io` → `https://registry-1.docker.io`. */
export type FindEndpoint = (domain: string, signal: AbortSignal) => Promise<URL>;

const hubHost = 'registry-1.docker.io';
const maxRemembered = 1_000;

/**
 * https, unless the registry is listed as insecure. On loopback, outside a cluster, both are common: https is tried first,
 * and what does not speak it is asked in plain http, as dockerd does. Nowhere else is there a way back to http.
 */
export function createFindEndpoint({
  http,
  insecureRegistries,
  insideCluster,
}: EndpointOptions): FindEndpoint {
  const remembered = createBoundedMap<string, URL>(maxRemembered);
  const insecure = new Set(insecureRegistries);

  return async function findEndpoint(domain, signal) {
    if (domain === dockerHub) return new URL(`https://${hubHost}`);
    const secure = toBase(domain);
    if (insecure.has(domain)) return toPlain(domain);
    if (insideCluster || !isLoopback(secure.hostname)) return secure;
    const known = remembered.get(domain);
    if (known !== undefined) return known;
    const { base, isCertain } = await probe(domain, signal);
    if (isCertain) remembered.set(domain, base);
    return base;
  };

  /** A registry that is down has not said what it speaks. */
  async function probe(
    domain: string,
    signal: AbortSignal,
  ): Promise<{ readonly base: URL; readonly isCertain: boolean }> {
    const secure = toBase(domain);
    const url = new URL('/v2/', secure);
    try {
      await drop(await http.send({ method: 'HEAD', url, signal, step: 'connecting' }));
      return { base: secure, isCertain: true };
    } catch (error) {
      // It speaks https, but we do not trust it: to go on in plain http would be to hand it the password.
      if (!(error instanceof RegistryError) || error.problem === 'untrusted') throw error;
      return { base: toPlain(domain), isCertain: error.problem === 'not-https' };
    }
  }
}

/** The grammar of image names has room for ports and addresses that do not exist. */
function toBase(domain: string): URL {
  if (URL.canParse(`https://${domain}`)) return new URL(`https://${domain}`);
  throw new RegistryError('UNSUPPORTED', `${domain} is no address of a registry`);
}

function toPlain(domain: string): URL {
  return new URL(`http://${domain}`);
}

function isLoopback(hostname: string): boolean {
  const literal = literalAddress(hostname);
  return literal === undefined
    ? /(^|\.)localhost$/.test(hostname)
    : kindOfAddress(literal) === 'loopback';
}
