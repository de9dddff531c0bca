import { once } from 'node:events';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { eventually } from './eventually.ts';

/** One request that arrived at the gate. */
interface GateRequest {
  readonly method: string;
  /** Includes the query. */
  readonly path: string;
}

export type Match = (request: GateRequest) => boolean;

interface Hold {
  /** Resolves when that many requests are held. @default one */
  readonly waiting: (count?: number) => Promise<void>;
  /** Forwards the held requests and all later ones. */
  readonly release: () => void;
}

export interface Gate {
  /** Host of image names, instead of the registry's own. */
  readonly host: string;
  /** Holds matching requests without a response. */
  readonly hold: (match: Match) => Hold;
  /** Answers matching requests with a registry's error body until the returned function is called. */
  readonly answer: (
    match: Match,
    status: number,
    headers?: Readonly<Record<string, string>>,
  ) => () => void;
  /** Closes the connection after so many bytes of the response body until the returned function is called. */
  readonly cut: (match: Match, afterBytes: number) => () => void;
  /** Removes all rules and forwards held requests. */
  readonly open: () => void;
  /** All requests, or the matching ones. */
  readonly requests: (match?: Match) => readonly GateRequest[];
  readonly stop: () => Promise<void>;
}

/** Matches reads of layers and configs. */
export const isBlobGet: Match = ({ method, path }) => method === 'GET' && path.includes('/blobs/');

/** Matches reads of manifests. */
export const isManifestRead: Match = ({ method, path }) =>
  (method === 'GET' || method === 'HEAD') && path.includes('/manifests/');

const isAny: Match = () => true;

type Rule =
  | {
      readonly kind: 'hold';
      readonly match: Match;
      readonly opened: Promise<void>;
      waiting: number;
    }
  | {
      readonly kind: 'answer';
      readonly match: Match;
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'cut'; readonly match: Match; readonly afterBytes: number };

/** A loopback proxy in front of a registry; a test can hold, fail or truncate requests without sleeps. */
export async function startGate(
  upstream: { readonly host: string },
  { address = '127.0.0.1', port = 0 }: { readonly address?: string; readonly port?: number } = {},
): Promise<Gate> {
  const rules = new Set<Rule>();
  const seen: GateRequest[] = [];
  const releases = new Set<() => void>();

  const server = createServer((incoming, outgoing) => {
    const request = { method: incoming.method ?? '', path: incoming.url ?? '' };
    seen.push(request);
    pass(request, incoming, outgoing).catch(() => outgoing.destroy());
  });
  // Requests can be held for any time.
  server.requestTimeout = 0;
  // Does not keep the test process alive.
  server.unref();
  server.listen(port, address);
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the gate has no port');

  async function pass(
    request: GateRequest,
    incoming: IncomingMessage,
    outgoing: ServerResponse,
  ): Promise<void> {
    const applying = [...rules].filter(({ match }) => match(request));
    for (const rule of applying) {
      if (rule.kind === 'hold') {
        rule.waiting += 1;
        await rule.opened;
        rule.waiting -= 1;
      }
    }
    const answer = applying.find((rule) => rule.kind === 'answer');
    if (answer !== undefined) {
      incoming.resume();
      const headers = { 'content-type': 'application/json', ...answer.headers };
      outgoing.writeHead(answer.status, headers).end(toErrorBody(answer.status));
      return;
    }
    const cut = applying.find((rule) => rule.kind === 'cut');
    forward(upstream.host, incoming, outgoing, cut?.afterBytes);
  }

  function add(rule: Rule): () => void {
    rules.add(rule);
    return () => rules.delete(rule);
  }

  return {
    host: `${address}:${bound.port}`,
    hold: (match) => {
      const { promise: opened, resolve } = Promise.withResolvers<void>();
      const rule = { kind: 'hold' as const, match, opened, waiting: 0 };
      const remove = add(rule);
      const release = (): void => {
        remove();
        resolve();
        releases.delete(release);
      };
      releases.add(release);
      return {
        waiting: async (count = 1) => {
          await eventually(`${count} requests are held`, () => rule.waiting >= count);
        },
        release,
      };
    },
    answer: (match, status, headers = {}) => add({ kind: 'answer', match, status, headers }),
    cut: (match, afterBytes) => add({ kind: 'cut', match, afterBytes }),
    open: () => {
      for (const release of releases) release();
      rules.clear();
    },
    requests: (match = isAny) => seen.filter(match),
    stop: async () => {
      for (const release of releases) release();
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, 'close');
    },
  };
}

const errorCodes: ReadonlyMap<number, string> = new Map([
  [401, 'UNAUTHORIZED'],
  [403, 'DENIED'],
  [404, 'MANIFEST_UNKNOWN'],
  [429, 'TOOMANYREQUESTS'],
]);

/** An error body of the distribution specification. */
function toErrorBody(status: number): string {
  const code = errorCodes.get(status) ?? 'UNKNOWN';
  return JSON.stringify({ errors: [{ code, message: `the test's gate says ${status}` }] });
}

/** Keeps the Host header, from which a registry builds the `Location` of an upload. */
function forward(
  upstream: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  cutAfterBytes: number | undefined,
): void {
  const [hostname, port] = upstream.split(':');
  const onward = httpRequest({
    hostname,
    port,
    agent: false,
    method: incoming.method,
    path: incoming.url,
    headers: incoming.headers,
  });
  // If one side closes its connection, the other one is closed too.
  onward.on('error', () => outgoing.destroy());
  outgoing.on('close', () => onward.destroy());
  onward.on('response', (response) => {
    outgoing.writeHead(response.statusCode ?? 502, response.headers);
    response.on('error', () => outgoing.destroy());
    if (cutAfterBytes === undefined) {
      response.pipe(outgoing);
      return;
    }
    let left = cutAfterBytes;
    outgoing.flushHeaders();
    response.on('data', (chunk: Buffer) => {
      outgoing.write(chunk.subarray(0, left));
      left -= chunk.length;
      if (left <= 0) {
        response.destroy();
        // Flushes first, so that the client receives exactly these bytes.
        outgoing.socket?.end(() => outgoing.destroy());
      }
    });
    response.on('end', () => outgoing.end());
  });
  incoming.pipe(onward);
}
