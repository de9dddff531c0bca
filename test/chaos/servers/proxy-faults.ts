import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type FaultKind, isStatusFault } from './faults.ts';

/** A request at a proxy, and its upstream. */
export interface ProxyExchange {
  readonly upstream: string;
  readonly foreignServer: string;
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  /** Releases held responses when faults end. */
  readonly faultsEnded: AbortSignal;
}

/** Changes a response on its way back. */
type OnAnswer = (answer: IncomingMessage, outgoing: ServerResponse) => void;

const stallMs = 12_000;
const slowMs = 150;
const slowSteps = 20;
/** Terminal control characters in the error text of an untrusted registry. */
const shouting = '\u001b[31mchaos\u001b[0m\r\nsays \u202e';

const errorCodes: ReadonlyMap<number, string> = new Map([
  [401, 'UNAUTHORIZED'],
  [403, 'DENIED'],
  [404, 'MANIFEST_UNKNOWN'],
  [429, 'TOOMANYREQUESTS'],
  [503, 'UNAVAILABLE'],
]);

/** Forwards the request and the response; the Host header stays, since a registry builds `Location` from it. */
export function forward(
  upstream: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  onAnswer: OnAnswer = sendBack,
): void {
  const [hostname, port] = upstream.split(':');
  const { method, url: path, headers } = incoming;
  const onward = request({ hostname, port, agent: false, method, path, headers }, (answer) => {
    answer.on('error', () => outgoing.destroy());
    onAnswer(answer, outgoing);
  });
  // If one side closes, the other is closed too, as without a proxy.
  onward.on('error', () => outgoing.destroy());
  outgoing.on('close', () => onward.destroy());
  incoming.pipe(onward);
}

export function applyFault(kind: FaultKind, exchange: ProxyExchange): void {
  const { upstream, foreignServer, incoming, outgoing } = exchange;
  const bad = (onAnswer: OnAnswer): void => forward(upstream, incoming, outgoing, onAnswer);
  if (isStatusFault(kind)) {
    answerWith(exchange, Number(kind.slice('status-'.length)));
    return;
  }
  switch (kind) {
    case 'reset':
      return void incoming.socket.resetAndDestroy();
    case 'answer-lost':
      return bad((answer) => {
        answer.resume();
        answer.on('end', () => outgoing.destroy());
      });
    case 'stall':
      incoming.resume();
      return void stall(exchange);
    case 'truncate':
      return bad(sendHalf);
    case 'corrupt':
      return bad(sendCorrupted);
    case 'lying-digest':
      return bad((answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, {
          ...answer.headers,
          'docker-content-digest': `sha256:${'f'.repeat(64)}`,
        });
        answer.pipe(outgoing);
      });
    case 'lying-length':
      return bad(sendLongerThanItIs);
    case 'redirect-circle':
      return answerWith(exchange, 307, { location: incoming.url ?? '/' });
    case 'redirect-foreign':
      return answerWith(exchange, 307, {
        location: `http://${foreignServer}${incoming.url ?? '/'}`,
      });
    case 'realm-foreign':
      return answerWith(exchange, 401, {
        'www-authenticate': `Bearer realm="http://${foreignServer}/token",service="chaos",scope="repository:x:pull,push"`,
      });
    case 'location-foreign':
      return answerWith(exchange, 202, {
        location: `http://${foreignServer}/v2/x/blobs/uploads/1`,
      });
    case 'slow-answer':
      return bad((answer, back) => {
        sendSlowly(answer, back, exchange.faultsEnded).catch(() => back.destroy());
      });
    case 'slow-upload':
      return void readSlowly(exchange);
    case 'upload-cut':
      incoming.once('data', () => incoming.socket.destroy());
      incoming.once('end', () => incoming.socket.destroy());
      return;
    case 'upload-lost':
      return answerWith(exchange, 404, {}, 'BLOB_UPLOAD_UNKNOWN');
  }
}

function answerWith(
  { incoming, outgoing }: ProxyExchange,
  status: number,
  headers: Readonly<Record<string, string>> = {},
  code = errorCodes.get(status) ?? 'UNKNOWN',
): void {
  incoming.resume();
  outgoing.writeHead(status, {
    'content-type': 'application/json',
    ...(status === 401 && { 'www-authenticate': 'Basic realm="chaos"' }),
    ...(status === 429 && { 'retry-after': '1' }),
    ...headers,
  });
  if (incoming.method === 'HEAD') outgoing.end();
  else outgoing.end(JSON.stringify({ errors: [{ code, message: `${shouting}${status}` }] }));
}

const sendBack: OnAnswer = (answer, outgoing) => {
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
  answer.pipe(outgoing);
};

/** Truncates the body; Content-Length promises all of it. */
const sendHalf: OnAnswer = (answer, outgoing) => {
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
  outgoing.flushHeaders();
  let left = Math.floor(Number(answer.headers['content-length'] ?? 2) / 2);
  answer.on('data', (chunk: Buffer) => {
    outgoing.write(chunk.subarray(0, Math.max(0, left)));
    left -= chunk.length;
    if (left <= 0) outgoing.socket?.end(() => outgoing.destroy());
  });
  answer.on('end', () => outgoing.destroy());
};

const sendCorrupted: OnAnswer = (answer, outgoing) => {
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
  let isDone = false;
  answer.on('data', (chunk: Buffer) => {
    const middle = Math.floor(chunk.length / 2);
    if (!isDone) chunk[middle] = (chunk[middle] ?? 0) ^ 1;
    isDone = true;
    outgoing.write(chunk);
  });
  answer.on('end', () => outgoing.end());
};

const sendLongerThanItIs: OnAnswer = (answer, outgoing) => {
  const length = Number(answer.headers['content-length'] ?? 0) + 7;
  outgoing.writeHead(answer.statusCode ?? 502, { ...answer.headers, 'content-length': length });
  outgoing.flushHeaders();
  answer.on('data', (chunk: Buffer) => outgoing.write(chunk));
  answer.on('end', () => outgoing.socket?.end(() => outgoing.destroy()));
};

async function stall({ outgoing, faultsEnded }: ProxyExchange): Promise<void> {
  const gone = new AbortController();
  outgoing.on('close', () => gone.abort());
  // An interrupted pause ends the same way: the connection closes without a response.
  await delay(stallMs, undefined, { signal: AbortSignal.any([faultsEnded, gone.signal]) }).catch(
    () => undefined,
  );
  outgoing.destroy();
}

/** A slow response: the head at once, then a little at a time, then the rest. */
async function sendSlowly(
  answer: IncomingMessage,
  outgoing: ServerResponse,
  faultsEnded: AbortSignal,
): Promise<void> {
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
  outgoing.flushHeaders();
  let steps = 0;
  for await (const chunk of answer.iterator({ destroyOnReturn: false })) {
    const bytes: unknown = chunk;
    if (!(bytes instanceof Uint8Array)) continue;
    let rest = bytes;
    for (; steps < slowSteps && rest.length > 1 && !faultsEnded.aborted; steps += 1) {
      const part = Math.ceil(rest.length / slowSteps);
      outgoing.write(rest.subarray(0, part));
      rest = rest.subarray(part);
      await delay(slowMs);
    }
    outgoing.write(rest);
  }
  outgoing.end();
}

/** A slow upload: the request body is read slowly. */
async function readSlowly({
  upstream,
  incoming,
  outgoing,
  faultsEnded,
}: ProxyExchange): Promise<void> {
  incoming.pause();
  for (let step = 0; step < slowSteps && !faultsEnded.aborted; step += 1) await delay(slowMs);
  if (!incoming.destroyed) forward(upstream, incoming, outgoing);
}
