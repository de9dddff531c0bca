import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createApp, createProbeApp, toBudgetMs } from '../../../functions/webhook/app.ts';
import { type AdmissionHandler, type AdmissionReview, CloneError } from '../../../lib/index.ts';
import { drainMicrotasks } from '../../support/drain-microtasks.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

const metrics = {
  render: () => Promise.resolve('m 1\n'),
  contentType: 'text/plain; version=0.0.4',
};

const answer: AdmissionReview = {
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  response: { uid: 'u-1', allowed: true },
};

function post(
  body: string,
  options: {
    readonly review?: AdmissionHandler;
    readonly type?: string;
    readonly query?: string;
  } = {},
): Promise<Response> {
  const { review = () => Promise.resolve(answer), type = 'application/json', query = '' } = options;
  const { logger } = createMemoryLog();
  const app = createApp({ review, isReady: () => true, logger, metrics });
  const init = { method: 'POST', headers: { 'content-type': type }, body };
  return Promise.resolve(app.request(`/clone-image${query}`, init));
}

describe('POST /clone-image', () => {
  it('responds to POST /clone-image with the review of the handler', async () => {
    const response = await post('{"a":1}', {
      review: (body) => {
        assert.deepEqual(body, { a: 1 });
        return Promise.resolve(answer);
      },
    });

    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
    assert.deepEqual(await response.json(), answer);
  });

  it('accepts a content type with parameters, in upper and lower case', async () => {
    assert.equal((await post('{}', { type: 'Application/JSON; charset=utf-8' })).status, 200);
  });

  it('passes the timeout of the API server to the handler, less a margin', async () => {
    const budgets: number[] = [];
    const review: AdmissionHandler = (_, { budgetMs }) => {
      budgets.push(budgetMs);
      return Promise.resolve(answer);
    };

    await post('{}', { review, query: '?timeout=5s' });
    await post('{}', { review });

    assert.deepEqual(budgets, [4_500, 9_500]);
  });

  describe('while bodies that never arrive take all slots', () => {
    const stalled = (): ReadableStream => new ReadableStream({ pull: () => new Promise(() => {}) });

    it('accepts other reviews after two seconds of bodies that never arrive, and evicts those with 503', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const { logger } = createMemoryLog();
      const review = (): Promise<AdmissionReview> => Promise.resolve(answer);
      const app = createApp({ review, isReady: () => true, logger, metrics });
      const send = (body: string | ReadableStream): Promise<Response> =>
        Promise.resolve(
          app.request('/clone-image', {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body,
            duplex: 'half',
          }),
        );
      const stuck = [1, 2, 3, 4].map(() => send(stalled()));
      await drainMicrotasks();
      const other = send('{}');
      await drainMicrotasks();

      t.mock.timers.tick(2_000);

      assert.equal((await other).status, 200);
      const [first] = stuck;
      const ended = await first;
      assert.equal(ended?.status, 503);
      assert.equal(
        await ended?.text(),
        'the webhook is overloaded: too many large objects are reviewed at once and others wait; try again\n',
      );
    });
  });

  it('aborts the signal of the handler when the API server disconnects', async () => {
    const client = new AbortController();
    const seen = Promise.withResolvers<boolean>();
    const { logger } = createMemoryLog();
    const review: AdmissionHandler = (_, { signal }) => {
      signal.addEventListener('abort', () => seen.resolve(true));
      client.abort();
      return Promise.resolve(answer);
    };
    const app = createApp({ review, isReady: () => true, logger, metrics });
    const headers = { 'content-type': 'application/json' };
    const request = new Request('http://webhook/clone-image', {
      method: 'POST',
      headers,
      body: '{}',
      signal: client.signal,
    });

    await app.request(request);

    assert.equal(await seen.promise, true);
  });

  const refusals: readonly (readonly [string, string, string, number, string])[] = [
    [
      'another content type',
      '{}',
      'text/plain',
      415,
      'unsupported content type: send AdmissionReviews as application/json\n',
    ],
    [
      'a content type that starts with application/json',
      '{}',
      'application/json-patch+json',
      415,
      'unsupported content type: send AdmissionReviews as application/json\n',
    ],
    [
      'a body that is not JSON',
      'secret{',
      'application/json',
      400,
      'not an AdmissionReview: the body is not JSON\n',
    ],
    ['no body', '', 'application/json', 400, 'not an AdmissionReview: the body is not JSON\n'],
    [
      'a body over 8 MiB',
      ' '.repeat(8 * 1024 * 1024 + 1),
      'application/json',
      413,
      'the AdmissionReview is larger than 8 MiB\n',
    ],
  ];
  for (const [what, body, type, status, text] of refusals) {
    it(`rejects a review request with ${status}: ${what}`, async () => {
      const response = await post(body, { type });

      assert.equal(response.status, status);
      assert.equal(await response.text(), text);
      assert.match(response.headers.get('content-type') ?? '', /^text\/plain/);
    });
  }

  it('accepts a review body of 8 MiB', async () => {
    assert.equal((await post(`"${' '.repeat(8 * 1024 * 1024 - 2)}"`)).status, 200);
  });

  it('responds with 400 when the handler rejects the body as no AdmissionReview', async () => {
    const review: AdmissionHandler = () =>
      Promise.reject(new CloneError('INVALID_REVIEW', 'not an AdmissionReview: kind is missing'));

    const response = await post('{}', { review });

    assert.equal(response.status, 400);
    assert.equal(await response.text(), 'not an AdmissionReview: kind is missing\n');
  });

  it('responds to an unexpected error with 500 and one plain line with the uid, without the error', async () => {
    const review: AdmissionHandler = () => Promise.reject(new TypeError('s3cret'));

    const response = await post('{"request":{"uid":"u-1"}}', { review });

    assert.equal(response.status, 500);
    assert.match(response.headers.get('content-type') ?? '', /^text\/plain/);
    assert.equal(await response.text(), 'internal error in image-cloner: see its log for u-1\n');
  });
});

describe('createApp', () => {
  const rows: readonly (readonly [string, string, number, string])[] = [
    ['GET', '/readyz', 200, 'OK'],
    ['GET', '/livez', 200, 'OK'],
    ['GET', '/metrics', 200, 'm 1\n'],
    ['POST', '/metrics', 405, 'method not allowed: send probes with GET\n'],
    ['GET', '/clone-image', 405, 'method not allowed: send AdmissionReviews with POST\n'],
    ['DELETE', '/clone-image', 405, 'method not allowed: send AdmissionReviews with POST\n'],
    ['POST', '/readyz', 405, 'method not allowed: send probes with GET\n'],
    [
      'GET',
      '/',
      404,
      'not found: send AdmissionReviews to /clone-image, probes to /readyz and /livez\n',
    ],
  ];
  for (const [method, path, status, text] of rows) {
    it(`responds to ${method} ${path} with ${status}`, async () => {
      const { logger } = createMemoryLog();
      const app = createApp({
        review: () => assert.fail(),
        isReady: () => true,
        logger,
        metrics,
      });

      const response = await app.request(path, { method });

      assert.equal(response.status, status);
      assert.equal(await response.text(), text);
      assert.equal(response.headers.has('allow'), status === 405);
    });
  }

  it('reports an outage on GET /readyz and keeps status 200, so that Knative keeps the endpoint', async () => {
    const { logger } = createMemoryLog();
    const app = createApp({
      review: () => assert.fail(),
      isReady: () => true,
      outage: () => 'the backup registry is down',
      metrics,
      logger,
    });

    const response = await app.request('/readyz');

    assert.equal(response.status, 200);
    assert.equal(await response.text(), 'OK\nthe backup registry is down');
  });

  it('responds to /readyz with 503 and to /livez with 200 while the webhook is not ready', async () => {
    const { logger } = createMemoryLog();
    const app = createApp({
      review: () => assert.fail(),
      isReady: () => false,
      logger,
      metrics,
    });

    assert.equal((await app.request('/readyz')).status, 503);
    assert.equal((await app.request('/livez')).status, 200);
  });
});

describe('createProbeApp', () => {
  const rows: readonly (readonly [string, string, number, string])[] = [
    ['GET', '/readyz', 200, 'OK'],
    ['GET', '/livez', 200, 'OK'],
    ['GET', '/metrics', 200, 'm 1\n'],
    ['POST', '/readyz', 405, 'method not allowed: send probes with GET\n'],
    ['POST', '/clone-image', 403, 'AdmissionReviews are accepted only over HTTPS, on port 8443\n'],
    ['GET', '/clone-image', 403, 'AdmissionReviews are accepted only over HTTPS, on port 8443\n'],
    [
      'GET',
      '/',
      404,
      'not found: send AdmissionReviews to /clone-image, probes to /readyz and /livez\n',
    ],
  ];
  for (const [method, path, status, text] of rows) {
    it(`responds to ${method} ${path} on the plain HTTP port with ${status}`, async () => {
      const { logger } = createMemoryLog();
      const app = createProbeApp({ isReady: () => true, logger, metrics, reviewPort: 8443 });

      const response = await app.request(path, { method });

      assert.equal(response.status, status);
      assert.equal(await response.text(), text);
    });
  }
});

describe('toBudgetMs', () => {
  const rows: readonly (readonly [string | undefined, number])[] = [
    [undefined, 9_500],
    ['10s', 9_500],
    ['1s', 800],
    ['1.5s', 1_200],
    ['500ms', 400],
    ['1m', 29_500],
    ['999999s', 29_500],
    ['0s', 9_500],
    ['-5s', 9_500],
    ['ten', 9_500],
    ['', 9_500],
  ];
  for (const [timeout, budgetMs] of rows) {
    it(`has a budget of ${budgetMs} ms for timeout=${timeout}`, () => {
      assert.equal(toBudgetMs(timeout), budgetMs);
    });
  }
});
