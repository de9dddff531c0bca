import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { createApp } from '../../../functions/webhook/app.ts';
import {
  openServer,
  type ServerOptions,
  type WebhookServer,
} from '../../../functions/webhook/server.ts';
import { createAdmissionHandler } from '../../../lib/index.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { createFakeCloner } from '../../support/fake-cloner.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

const eightMiB = 8 * 1024 * 1024;
const { logger, lines } = createMemoryLog();
/** The uids of the reviews that reached the handler. */
const answered: string[] = [];

function open(options: Partial<ServerOptions> = {}): Promise<WebhookServer> {
  const handler = createAdmissionHandler({
    cloner: createFakeCloner(),
    policy: {
      backup: { domain: 'backup.test', namespace: 'acme', naming: 'flat' },
      onError: 'deny',
      onDeadline: 'retry',
      ignoreImages: [],
      sourceRegistries: [],
      cloneOnlyOwners: ['*'],
      excludedNamespaces: [],
    },
  });
  const { fetch } = createApp({
    review: async (body, context) => {
      const answer = await handler(body, context);
      answered.push(answer.response.uid);
      return answer;
    },
    isReady: () => true,
    metrics: { render: () => Promise.resolve(''), contentType: 'text/plain' },
    logger,
  });
  return openServer({ fetch, port: 0, ...options });
}

/** A review that needs no registry. */
function review(uid: string, object: unknown = {}): string {
  const kind = { group: '', version: 'v1', kind: 'Pod' };
  const request = { uid, kind, operation: 'CREATE', namespace: 'shop', name: 'web', object };
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request });
}

function head(...headers: readonly string[]): string {
  return [
    'POST /clone-image?timeout=10s HTTP/1.1',
    'host: image-cloner.shop.svc:443',
    'content-type: application/json',
    ...headers,
    '\r\n',
  ].join('\r\n');
}

function post(body: string, ...headers: readonly string[]): string {
  return `${head(`content-length: ${Buffer.byteLength(body)}`, ...headers)}${body}`;
}

async function openSocket(server: WebhookServer): Promise<Socket> {
  const socket = connect(server.port, '127.0.0.1');
  // The server may close the connection of an invalid request before it is complete.
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** Resolves with everything that the server sends until it closes the connection. */
async function send(server: WebhookServer, bytes: string | Uint8Array): Promise<string> {
  const socket = await openSocket(server);
  socket.end(bytes);
  return await text(socket);
}

const statusesOf = (answer: string): readonly number[] =>
  [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));

const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
/** The review with `"X"` replaced by JSON that `JSON.stringify` cannot produce. */
const withRaw = (body: string, raw: string): string => body.replace('"X"', raw);
const tooManyObjects =
  'the AdmissionReview has more than 500000 JSON objects and lists: no object that the API server stores has as many\n';
const notJson = 'not an AdmissionReview: the body is not JSON\n';

describe('openServer with malformed requests', () => {
  let server: WebhookServer;

  before(async () => {
    server = await open();
  });
  after(async () => {
    await server.close();
  });

  // A proxy and the server must agree where a request ends, so an ambiguous one is rejected.
  const ambiguous: readonly (readonly [what: string, bytes: string])[] = [
    ['a content length and chunks', post(review('a'), 'transfer-encoding: chunked')],
    [
      'chunks that hide a second request',
      post(`0\r\n\r\n${post(review('b'))}`, 'transfer-encoding: chunked'),
    ],
    ['two content lengths', post(review('a'), 'content-length: 3')],
    ['a content length with a sign', `${head('content-length: +2')}{}`],
    ['a negative content length', `${head('content-length: -1')}{}`],
    ['a content length of 30 digits', `${head(`content-length: ${'9'.repeat(30)}`)}{}`],
    ['a blank before the colon', `${head('transfer-encoding : chunked')}0\r\n\r\n`],
    [
      'a transfer encoding after chunked',
      `${head('transfer-encoding: chunked, identity')}0\r\n\r\n`,
    ],
    ['an unknown transfer encoding', `${head('transfer-encoding: xchunked')}0\r\n\r\n`],
    ['lines that end without a carriage return', post(review('a')).replaceAll('\r\n', '\n')],
    ['a folded header', post(review('a'), 'x-a: b', ' c: d')],
    ['a NUL in a header', post(review('a'), 'x-a: \0')],
    ['no host', 'POST /clone-image HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}'],
    ['an invalid host', 'POST /clone-image HTTP/1.1\r\nhost: a b\r\ncontent-length: 2\r\n\r\n{}'],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a backslash in the path', post(review('a')).replace('/clone', '/\\clone')],
  ];
  for (const [what, bytes] of ambiguous) {
    it(`rejects the malformed request with 400 before the handler gets it: ${what}`, async () => {
      answered.length = 0;

      assert.deepEqual(statusesOf(await send(server, bytes))[0], 400);

      assert.deepEqual(answered, []);
    });
  }

  for (const [what, header] of [
    ['one header of 20 kB', `x-a: ${'a'.repeat(20_000)}`],
    ['3000 headers', Array.from({ length: 3000 }, (_, index) => `a${index}: b`).join('\r\n')],
  ] as const) {
    it(`rejects with 431 a request with ${what}`, async () => {
      assert.deepEqual(statusesOf(await send(server, post(review('a'), header))), [431]);
    });
  }

  const bodies: readonly (readonly [
    what: string,
    body: string,
    status: number,
    expected: string,
  ])[] = [
    [
      'lists in lists, 100 000 deep',
      nested(100_000),
      400,
      'not an AdmissionReview: the body is not an object\n',
    ],
    [
      'an object that is lists in lists',
      withRaw(review('a', 'X'), nested(100_000)),
      400,
      'not an AdmissionReview: request.object is not an object\n',
    ],
    [
      'containers that are lists in lists',
      withRaw(review('a', { spec: { containers: 'X' } }), nested(100_000)),
      400,
      'not an AdmissionReview: request.object.spec.containers.0 is not an object\n',
    ],
    [
      'an annotation that is lists in lists',
      withRaw(review('a', { metadata: { annotations: { a: 'X' } } }), nested(100_000)),
      400,
      'not an AdmissionReview: request.object.metadata.annotations.a is not a string\n',
    ],
    [
      'a uid that is lists in lists',
      withRaw(review('X'), nested(100_000)),
      400,
      'not an AdmissionReview: request.uid is not a string\n',
    ],
    ['8 MiB of lists in lists', nested(eightMiB / 2), 413, tooManyObjects],
    ['8 MiB of empty objects', `[${'{},'.repeat(2_700_000)}{}]`, 413, tooManyObjects],
    [
      'one byte more than 8 MiB',
      `"${' '.repeat(eightMiB - 1)}"`,
      413,
      'the AdmissionReview is larger than 8 MiB\n',
    ],
    [
      'a review inside __proto__',
      `{"__proto__":${review('a')}}`,
      400,
      'not an AdmissionReview: apiVersion is missing\n',
    ],
    ['half a review', review('a').slice(0, -5), 400, notJson],
  ];
  for (const [what, body, status, expected] of bodies) {
    it(`rejects with ${status} and one sentence a review with ${what}`, async () => {
      const answer = await send(server, post(body));

      assert.deepEqual(statusesOf(answer), [status]);
      assert.equal(answer.split('\r\n\r\n').slice(1).join(''), expected);
    });
  }

  it('rejects a compressed review body without unpacking it', async () => {
    const packed = gzipSync(review('a'));
    const first = head('content-encoding: gzip', `content-length: ${packed.length}`);

    assert.match(
      await send(server, Buffer.concat([Buffer.from(first), packed])),
      new RegExp(`${notJson}$`),
    );
  });

  it('does not set a prototype from a review with __proto__', async () => {
    const body = withRaw(
      review('proto', { metadata: { labels: 'X', annotations: 'X' }, spec: {} }),
      '{"__proto__":"a","constructor":"b"}',
    )
      .replace('"X"', '{"__proto__":"a"}')
      .replace('"spec":{}', '"__proto__":{"polluted":true},"spec":{}');

    assert.deepEqual(statusesOf(await send(server, post(body))), [200]);

    assert.equal(Reflect.get({}, 'polluted'), undefined);
  });

  it('responds to pipelined requests in their order', async () => {
    const uids = Array.from({ length: 50 }, (_, index) => `uid-${index}`);

    const answer = await send(server, uids.map((uid) => post(review(uid))).join(''));

    assert.deepEqual(
      [...answer.matchAll(/"uid":"([^"]+)"/g)].map(([, uid]) => uid),
      uids,
    );
  });

  it('rejects a content length of 80 GB at once and closes the connection', async () => {
    const socket = await openSocket(server);
    socket.write(`${head('content-length: 80000000000')}{`);

    // Resolves only if the server closes the connection.
    assert.match(
      await text(socket),
      /^HTTP\/1\.1 413 [^]*the AdmissionReview is larger than 8 MiB\n/,
    );
  });

  it('responds to small reviews while large bodies take all slots', async () => {
    const idlers = await Promise.all(Array.from({ length: 20 }, () => openSocket(server)));
    for (const idler of idlers) idler.write(`${head(`content-length: ${eightMiB}`)}{`);
    for (const idler of idlers) idler.write(' ');

    assert.deepEqual(statusesOf(await send(server, post(review('small')))), [200]);

    for (const idler of idlers) idler.destroy();
    const large = `${' '.repeat(1024 * 1024)}${review('large')}`;
    assert.deepEqual(statusesOf(await send(server, post(large))), [200]);
  });

  it('logs nothing when a client disconnects at any point of a request', async () => {
    const before = lines.length;
    const whole = post(review('gone', { metadata: { name: 'a' } }));
    for (let cut = 0; cut <= whole.length; cut += 9) {
      const socket = await openSocket(server);
      socket.write(whole.slice(0, cut));
      socket.destroy();
    }

    assert.deepEqual(statusesOf(await send(server, post(review('last')))), [200]);
    assert.deepEqual(lines.slice(before), []);
  });
});

describe('openServer with slow clients', () => {
  const limits = { headersTimeout: 20, requestTimeout: 40, connectionsCheckingInterval: 5 };

  const slow: readonly (readonly [what: string, bytes: string])[] = [
    ['sends nothing', ''],
    ['does not end its headers', 'POST /clone-image HTTP/1.1\r\nhost: w\r\n'],
    ['does not end its body', `${head('content-length: 100')}{`],
    ['does not end its chunks', `${head('transfer-encoding: chunked')}5\r\n{`],
  ];
  for (const [what, bytes] of slow) {
    it(`disconnects a client that ${what}`, async () => {
      const server = await open({ limits });
      const socket = await openSocket(server);
      socket.write(bytes);

      const answer = await text(socket);

      assert.ok(
        statusesOf(answer).every((status) => status === 408 || status === 400),
        answer,
      );
      await server.close();
    });
  }

  it('disconnects a client that sends no TLS handshake', async () => {
    const certificates = await makeCertificate('01');
    const server = await open({ certificates, limits: { handshakeTimeout: 20 } });
    const socket = await openSocket(server);

    assert.equal(await text(socket), '');
    await server.close();
  });
});
