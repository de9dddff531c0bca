import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRegistryCloner } from '../../lib/adapters/registry/cloner.ts';
import { createFindEndpoint } from '../../lib/adapters/registry/http/endpoint.ts';
import { createHttp } from '../../lib/adapters/registry/http/http.ts';
import { createAdmissionHandler } from '../../lib/index.ts';
import {
  createMemoryRegistry,
  type Image,
  makeImage,
  seed,
  serveMemoryRegistry,
} from '../../lib/memory-registry/index.ts';
import type { Served } from '../adapters/registry/bench.ts';
import { createMemoryLog } from '../support/memory-log.ts';
import { deployment, policy, type ReviewOptions, review } from '../support/reviews.ts';

/** The webhook as in a cluster, two registries that may be hostile, and a canary that must not be reached. */
export interface Pod {
  readonly image: Image;
  readonly source: Served;
  readonly backup: Served;
  /** `127.0.0.1:PORT`, in the place of the API server or another service on the pod's loopback. */
  readonly canary: string;
  /** Requests that the canary received. */
  readonly reached: readonly string[];
  /** The response's texts and the log, joined. */
  readonly said: () => string;
  readonly send: (options: ReviewOptions) => Promise<Told>;
  /** Sends a Deployment with an image of the source. */
  readonly apply: (image?: string) => Promise<Told>;
  readonly close: () => Promise<void>;
}

interface Told {
  readonly allowed: boolean;
  readonly message: string;
}

export const passwords = { source: 's3cr3t-of-the-source', backup: 's3cr3t-of-the-backup' };

export async function openPod(): Promise<Pod> {
  const reached: string[] = [];
  const canary = createServer((request, response) => {
    reached.push(`${request.method} ${request.url} ${request.rawHeaders.join(' ')}`);
    response.end('{"token":"stolen"}');
  });
  canary.listen(0, '127.0.0.1');
  await once(canary, 'listening');
  const address = canary.address();
  if (address === null || typeof address === 'string') throw new Error('the canary has no port');
  const [source, backup] = await Promise.all([serve('source'), serve('backup')]);
  const image = seed(source, 'app:1', makeImage());
  const settings = { insecureRegistries: [source.host, backup.host], insideCluster: true };
  const http = createHttp({ ...settings, configuredHosts: [source.host, backup.host] });
  const { logger, lines } = createMemoryLog();
  const said: string[] = [];
  const handler = createAdmissionHandler({
    cloner: createRegistryCloner({
      http,
      findEndpoint: createFindEndpoint({ ...settings, http }),
      sleep: () => Promise.resolve(),
    }),
    policy: policy({ backup: { domain: backup.host, namespace: 'acme', naming: 'nested' } }),
    backupCredentials: () => Promise.resolve({ username: 'acme', password: passwords.backup }),
    sourceCredentials: {
      credentialsFor: ({ domain }) =>
        Promise.resolve(
          domain === source.host ? [{ username: 'acme', password: passwords.source }] : [],
        ),
    },
    logger,
  });
  async function send(options: ReviewOptions): Promise<Told> {
    const { response } = await handler(review(options), {
      signal: new AbortController().signal,
      budgetMs: 5_000,
    });
    said.push(JSON.stringify(response));
    return { allowed: response.allowed, message: response.status?.message ?? '' };
  }

  return {
    image,
    source,
    backup,
    canary: `127.0.0.1:${address.port}`,
    reached,
    said: () => [...said, ...lines.map((line) => JSON.stringify(line))].join('\n'),
    send,
    apply: (name = 'app:1') => send({ object: deployment({ web: `${source.host}/${name}` }) }),
    close: async () => {
      await http.close();
      canary.close();
      canary.closeAllConnections();
      await Promise.all([source.close(), backup.close()]);
    },
  };
}

async function serve(side: keyof typeof passwords): Promise<Served> {
  const registry = createMemoryRegistry({
    auth: { scheme: 'basic', users: { acme: passwords[side] } },
  });
  return { ...registry, ...(await serveMemoryRegistry({ registry })) };
}
