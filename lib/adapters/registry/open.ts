import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSecureContext, rootCertificates } from 'node:tls';
import { ConfigError } from '../../errors.ts';
import type { ImageCloner } from '../../ports.ts';
import { createRegistryCloner } from './cloner.ts';
import { createFindEndpoint } from './endpoint.ts';
import { createHttp, type HttpOptions } from './http.ts';

export interface RegistrySettings {
  /** Registries, beside those that are spoken to in plain http, that may be anywhere, private addresses included. */
  readonly configuredHosts: readonly string[];
  readonly insecureRegistries: readonly string[];
  readonly caFile: string | undefined;
  readonly maxImageBytes: number | undefined;
  readonly insideCluster: boolean;
  readonly proxy: HttpOptions['proxy'];
}

/** The registry adapter with its connections. Rejects with `ConfigError` when `REGISTRY_CA_FILE` cannot be used. */
export async function openRegistryCloner(settings: RegistrySettings): Promise<ImageCloner> {
  const { caFile, insecureRegistries, insideCluster, maxImageBytes, proxy } = settings;
  const http = createHttp({
    configuredHosts: [...settings.configuredHosts, ...insecureRegistries],
    insideCluster,
    ...(caFile !== undefined && { ca: [...rootCertificates, await readCa(caFile)] }),
    ...(proxy !== undefined && { proxy }),
  });
  return createRegistryCloner({
    http,
    findEndpoint: createFindEndpoint({ http, insecureRegistries, insideCluster }),
    sleep: (ms, signal) => sleep(ms, undefined, { signal }),
    ...(maxImageBytes !== undefined && { maxImageBytes }),
  });
}

async function readCa(file: string): Promise<string> {
  try {
    const pem = await readFile(file, 'utf8');
    if (!pem.includes('BEGIN CERTIFICATE')) throw new Error('no certificate');
    createSecureContext({ ca: pem });
    return pem;
  } catch {
    // The path is all that a person needs; OpenSSL's words help nobody.
    throw new ConfigError([
      `REGISTRY_CA_FILE ${file} is not a readable file of certificates in PEM`,
    ]);
  }
}
