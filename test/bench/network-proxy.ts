import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { connectLink, createRate } from './network-link.ts';

/**
 * A TCP proxy with the latency and rate of a network, in a process of its own:
 *
 *     node --import tsx test/bench/network-proxy.ts --upstream 127.0.0.1:5000 --port 7000 --control-port 7001
 *
 * A connection costs a round trip before its first byte. There is no slow start and no loss. On the control port, GET returns the
 * connections and, of plain http, the requests since the start or the last DELETE.
 */
const { values } = parseArgs({
  options: {
    upstream: { type: 'string', default: '127.0.0.1:5000' },
    port: { type: 'string', default: '7000' },
    'control-port': { type: 'string', default: '7001' },
    'round-trip-ms': { type: 'string', default: '60' },
    /** Rates in MiB/s, each direction by itself. */
    'connection-rate': { type: 'string', default: '12' },
    'total-rate': { type: 'string', default: '60' },
  },
});

/** One request as the client sees it; times are in ms since 1970. */
interface LoggedRequest {
  readonly connection: number;
  readonly method: string;
  readonly path: string;
  readonly sentAtMs: number;
  status: number;
  firstByteAtMs: number;
  lastByteAtMs: number;
  bytes: number;
}

const mebibyte = 1024 * 1024;
const roundTripMs = Number(values['round-trip-ms']);
const connectionRate = Number(values['connection-rate']) * mebibyte;
const totalRate = Number(values['total-rate']) * mebibyte;
const total = { up: createRate(totalRate), down: createRate(totalRate) };
const [upstreamHost, upstreamPort] = values.upstream.split(':');
let accepted = 0;
let connections = 0;
let requests: LoggedRequest[] = [];

const proxy = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  accepted += 1;
  connections += 1;
  const upstream = connect({
    host: upstreamHost,
    port: Number(upstreamPort),
    allowHalfOpen: true,
    noDelay: true,
  });
  join(client, upstream, accepted);
});

function join(client: Socket, upstream: Socket, connection: number): void {
  let current: LoggedRequest | undefined;
  const nowMs = performance.now();
  const common = { delayMs: roundTripMs / 2, openAtMs: nowMs + roundTripMs };
  connectLink({
    ...common,
    from: client,
    to: upstream,
    rates: [createRate(connectionRate), total.up],
    onSent: (chunk) => {
      const request = parseRequest(chunk, connection);
      if (request === undefined) return;
      current = request;
      requests.push(request);
    },
    onArrived: () => undefined,
  });
  connectLink({
    ...common,
    from: upstream,
    to: client,
    rates: [createRate(connectionRate), total.down],
    onSent: () => undefined,
    onArrived: (chunk) => {
      if (current === undefined) return;
      current.lastByteAtMs = now();
      current.bytes += chunk.length;
      if (current.firstByteAtMs > 0) return;
      current.firstByteAtMs = current.lastByteAtMs;
      current.status = Number(/^HTTP\/1\.1 (\d+)/.exec(chunk.toString('latin1', 0, 32))?.[1] ?? 0);
    },
  });
}

/** More precise than Date, and the same in all processes. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

/** The request that begins with this chunk. Clients of registries send one at a time on a connection. */
function parseRequest(chunk: Buffer, connection: number): LoggedRequest | undefined {
  const line = /^([A-Z]+) (\S+) HTTP\/1\.1\r\n/.exec(chunk.toString('latin1', 0, 2_048));
  if (line === null) return undefined;
  const [, method = '', path = ''] = line;
  const unanswered = { status: 0, firstByteAtMs: 0, lastByteAtMs: 0, bytes: 0 };
  return { connection, method, path, sentAtMs: now(), ...unanswered };
}

const control = createHttpServer((incoming, outgoing) => {
  outgoing.end(JSON.stringify({ connections, requests }));
  if (incoming.method !== 'DELETE') return;
  connections = 0;
  requests = [];
});

proxy.listen(Number(values.port), '127.0.0.1');
await once(proxy, 'listening');
control.listen(Number(values['control-port']), '127.0.0.1');
