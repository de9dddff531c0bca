import { dockerHub } from '../../image/reference.ts';
import { kindOfAddress, literalAddress } from './address.ts';
import { RegistryError } from './failure.ts';
import type { Http } from './http.ts';

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
  const remembered = new Map<string, URL>();

  return async function findEndpoint(domain, signal) {
    if (domain === dockerHub) return new URL(`https://${hubHost}`);
    if (insecureRegistries.includes(domain)) return new URL(`http://${domain}`);
    const secure = new URL(`https://${domain}`);
    if (insideCluster || !isLoopback(secure.hostname)) return secure;
    const known = remembered.get(domain) ?? (await probe(secure, signal));
    if (remembered.size < maxRemembered) remembered.set(domain, known);
    return known;
  };

  async function probe(secure: URL, signal: AbortSignal): Promise<URL> {
    try {
      const answer = await http.send({
        method: 'HEAD',
        url: new URL('/v2/', secure),
        signal,
        step: 'connecting',
      });
      await answer.body.dump();
      return secure;
    } catch (error) {
      if (!(error instanceof RegistryError) || isTrustProblem(error)) throw error;
      const plain = new URL(secure);
      plain.protocol = 'http:';
      return plain;
    }
  }
}

function isLoopback(hostname: string): boolean {
  const literal = literalAddress(hostname);
  return literal === undefined
    ? /(^|\.)localhost$/.test(hostname)
    : kindOfAddress(literal) === 'loopback';
}

/** It speaks https, but we do not trust it: to go on in plain http would be to hand it the password. */
function isTrustProblem(error: RegistryError): boolean {
  return error.message.includes('certificate');
}
