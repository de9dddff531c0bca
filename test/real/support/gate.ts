import { once } from 'node:events';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { eventually } from './eventually.ts';

/** One request that came to the gate. */
export interface GateRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
}

export type Match = (request: GateRequest) => boolean;

export interface Hold {
  /** Resolves when that many requests stand before the gate. @default one */
  readonly waiting: (count?: number) => Promise<void>;
  /** Lets them, and all that come later, through. */
  readonly release: () => void;
}

export interface Gate {
  /** For image names, in place of the registry's own host. */
  readonly host: string;
  /** Matching requests wait, unanswered. */
  readonly hold: (match: Match) => Hold;
  /** Answers matching requests itself, with the error body of a registry. The function that is returned ends that. */
  readonly answer: (
    match: Match,
    status: number,
    headers?: Readonly<Record<string, string>>,
  ) => () => void;
  /** Cuts the connection after so many bytes of the answer's body. The function that is returned ends that. */
  readonly cut: (match: Match, afterBytes: number) => () => void;
  /** Everything passes again, and what is held goes on. */
  readonly open: () => void;
  /** What came, or what came and matches. */
  readonly requests: (match?: Match) => readonly GateRequest[];
  readonly stop: () => Promise<void>;
}

/** Layers and configs being read. */
export const isBlobGet: Match = ({ method, path }) => method === 'GET' && path.includes('/blobs/');

/** Tags and digests being looked up. */
export const isManifestRead: Match = ({ method, path }) =>
  (method === 'GET' || method === 'HEAD') && path.includes('/manifests/');

export const isAny: Match = () => true;

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

/** A loopback proxy before a registry that lets a test decide what passes, and when: slow, broken and refusing registries without sleeps. */
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
  // A held request may take as long as the test likes.
  server.requestTimeout = 0;
  // A test that forgets it must still be able to end.
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

/** The distribution specification's form of an error. */
function toErrorBody(status: number): string {
  const code = errorCodes.get(status) ?? 'UNKNOWN';
  return JSON.stringify({ errors: [{ code, message: `the test's gate says ${status}` }] });
}

/** The Host header stays: a registry builds the `Location` of an upload from it. */
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
  // Whoever is gone takes the other side along, as without a gate.
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
        // What was written is sent first: the reader gets that much and no more.
        outgoing.socket?.end(() => outgoing.destroy());
      }
    });
    response.on('end', () => outgoing.end());
  });
  incoming.pipe(onward);
}
