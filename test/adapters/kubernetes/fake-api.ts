import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import {
  AdmissionregistrationV1Api,
  CoordinationV1Api,
  CoreV1Api,
  DiscoveryV1Api,
  KubeConfig,
} from '@kubernetes/client-node';

/** The response for one path; a string body is sent unchanged, `hang` never completes the response. */
export type FakeAnswer =
  | { readonly status?: number; readonly body: unknown }
  | { readonly status?: number; readonly hang: 'before' | 'amid body' };

export interface FakeApi {
  readonly api: CoreV1Api;
  readonly coordination: CoordinationV1Api;
  readonly registrations: AdmissionregistrationV1Api;
  readonly discovery: DiscoveryV1Api;
  /** The server of a kubeconfig. */
  readonly url: string;
  /** By path below `/api/v1/namespaces/`, or by whole path; other paths get 404. */
  readonly answers: Map<string, FakeAnswer>;
  /** `GET a/secrets/b`, in the order of arrival. */
  readonly requests: string[];
  /** Number of accepted connections. */
  readonly connections: () => number;
  readonly close: () => Promise<void>;
}

const prefix = '/api/v1/namespaces/';

/** Starts an HTTP server that serves only the given objects. */
export async function startFakeApi(): Promise<FakeApi> {
  const answers = new Map<string, FakeAnswer>();
  const requests: string[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    const { method = '', url = '' } = request;
    const path = url.startsWith(prefix) ? url.slice(prefix.length) : url;
    requests.push(`${method} ${path}`);
    if (request.headers.authorization !== 'Bearer t0ken') return respond(response, 401, {});
    const answer = answers.get(path) ?? { status: 404, body: { kind: 'Status', code: 404 } };
    if ('body' in answer) return respond(response, answer.status ?? 200, answer.body);
    if (answer.hang === 'amid body') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"kind":"Secret","data":{"a":"s3cret');
    }
  });
  server.on('connection', () => (connections += 1));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the fake has no port');
  const url = `http://127.0.0.1:${address.port}`;

  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [{ name: 'fake', server: url, skipTLSVerify: true }],
    users: [{ name: 'us', token: 't0ken' }],
    contexts: [{ name: 'fake', cluster: 'fake', user: 'us' }],
    currentContext: 'fake',
  });
  return {
    api: config.makeApiClient(CoreV1Api),
    coordination: config.makeApiClient(CoordinationV1Api),
    registrations: config.makeApiClient(AdmissionregistrationV1Api),
    discovery: config.makeApiClient(DiscoveryV1Api),
    url,
    answers,
    requests,
    connections: () => connections,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function respond(response: ServerResponse, status: number, body: unknown): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json' }).end(text);
}
