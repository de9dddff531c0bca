import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createNamespaceReader } from '../../../lib/adapters/kubernetes/namespace-reader.ts';
import type { NamespaceReader } from '../../../lib/ports/index.ts';
import { createMemoryLog, type MemoryLog } from '../../support/memory-log.ts';
import { type FakeAnswer, type FakeApi, startFakeApi } from './fake-api.ts';

const { signal } = new AbortController();

describe('createNamespaceReader', () => {
  let fake: FakeApi;
  let log: MemoryLog;
  let reader: NamespaceReader;
  beforeEach(async () => {
    fake = await startFakeApi();
    log = createMemoryLog();
    reader = createNamespaceReader({ api: fake.api, logger: log.logger });
  });
  afterEach(async () => {
    await fake.close();
  });

  it('reads a Secret by its name', async () => {
    const data = { '.dockerconfigjson': 'e30=' };
    const type = 'kubernetes.io/dockerconfigjson';
    fake.answers.set('a/secrets/pull.1', { body: { kind: 'Secret', type, data } });

    const answer = await reader.readSecret('a', 'pull.1', signal);

    assert.deepEqual(answer, { status: 'found', found: { type, data } });
    assert.deepEqual(fake.requests, ['GET a/secrets/pull.1']);
  });

  it('reads an empty Secret', async () => {
    fake.answers.set('a/secrets/empty', { body: { kind: 'Secret' } });

    const answer = await reader.readSecret('a', 'empty', signal);

    assert.deepEqual(answer, { status: 'found', found: { type: '', data: {} } });
  });

  it("reads the names of a ServiceAccount's imagePullSecrets", async () => {
    const imagePullSecrets = [{ name: 'b' }, {}, { name: 'a' }];
    fake.answers.set('a/serviceaccounts/default', { body: { imagePullSecrets } });
    fake.answers.set('a/serviceaccounts/bare', { body: { secrets: [{ name: 'token' }] } });

    const answers = [
      await reader.readPullSecretNames('a', 'default', signal),
      await reader.readPullSecretNames('a', 'bare', signal),
    ];

    assert.deepEqual(answers, [
      { status: 'found', found: ['b', 'a'] },
      { status: 'found', found: [] },
    ]);
  });

  it('reads only the image-cloner annotations of a Namespace', async () => {
    const annotations = { 'image-cloner/on-error': 'admit', 'kubectl.kubernetes.io/x': 'y' };
    fake.answers.set('shop', { body: { metadata: { annotations } } });
    fake.answers.set('bare', { body: { metadata: {} } });

    assert.deepEqual(await reader.readAnnotations('shop', signal), {
      status: 'found',
      found: new Map([['image-cloner/on-error', 'admit']]),
    });
    assert.deepEqual(await reader.readAnnotations('bare', signal), {
      status: 'found',
      found: new Map(),
    });
    assert.deepEqual(await reader.readAnnotations('..', signal), { status: 'absent' });
    assert.deepEqual(fake.requests, ['GET shop', 'GET bare']);
  });

  it('reuses connections for API server requests', async () => {
    for (let index = 0; index < 20; index += 1) await reader.readSecret('a', `s${index}`, signal);

    assert.ok(fake.connections() <= 3, `${fake.connections()} connections for 20 requests`);
  });

  const statuses: readonly (readonly [what: string, number, status: string])[] = [
    ['a Secret that does not exist', 404, 'absent'],
    ['a Secret that RBAC forbids', 403, 'forbidden'],
  ];
  for (const [what, code, status] of statuses) {
    it(`answers ${status} for ${what}, without a log line`, async () => {
      fake.answers.set('a/secrets/x', { status: code, body: { kind: 'Status', code } });

      assert.deepEqual(await reader.readSecret('a', 'x', signal), { status });
      assert.deepEqual(log.lines, []);
    });
  }

  const failures: readonly (readonly [what: string, FakeAnswer, problem: string])[] = [
    ['an HTTP 500', { status: 500, body: 's3cret' }, 'HTTP 500'],
    ['an HTTP 429', { status: 429, body: {} }, 'HTTP 429'],
    ['an HTTP 401', { status: 401, body: {} }, 'HTTP 401'],
    ['a body that is not JSON', { body: '<html>s3cret' }, 'response is not JSON'],
    ['a JSON body that is not an object', { body: 'null' }, 'invalid response'],
  ];
  for (const [what, answer, problem] of failures) {
    it(`answers unavailable for ${what}, and does not log the body`, async () => {
      fake.answers.set('a/secrets/x', answer);

      assert.deepEqual(await reader.readSecret('a', 'x', signal), { status: 'unavailable' });
      assert.deepEqual(log.lines, [
        {
          level: 'warn',
          message: 'API server request failed',
          fields: { kind: 'Secret', namespace: 'a', name: 'x', problem },
        },
      ]);
    });
  }

  for (const hang of ['before', 'amid body'] as const) {
    it(`stops reading a Secret at its signal when the API server hangs (${hang})`, async () => {
      fake.answers.set('a/secrets/x', { hang });

      const answer = await reader.readSecret('a', 'x', AbortSignal.timeout(50));

      assert.deepEqual(answer, { status: 'unavailable' });
      assert.deepEqual(
        log.lines.map(({ fields }) => fields['problem']),
        ['timeout'],
      );
    });
  }

  it('opens a new connection to the API server after that closed the old one', async () => {
    fake.answers.set('a/secrets/x', { body: { type: 't' } });
    await reader.readSecret('a', 'x', signal);
    const { close } = fake;
    await close();
    fake = await startFakeApi();

    assert.deepEqual(await reader.readSecret('a', 'x', signal), { status: 'unavailable' });
    const [line] = log.lines;
    assert.match(String(line?.fields['problem']), /^(ECONNREFUSED|ECONNRESET|UND_ERR_SOCKET)$/);
  });

  const impossible = [
    ['..', 'x'],
    ['a', '..'],
    ['a', '.'],
    ['a', 'x/../../../b/secrets/y'],
    ['a/secrets/x?', 'y'],
    ['a', 'X'],
    ['a', ''],
    ['', 'x'],
    ['a.b', 'x'],
    ['a', 'x%2f'],
    ['a', 'a'.repeat(254)],
    ['a'.repeat(64), 'x'],
  ] as const;
  for (const [namespace, name] of impossible) {
    it(`sends no request to the API server for the invalid name ${namespace.slice(0, 20)} ${name.slice(0, 30)}`, async () => {
      const answers = [
        await reader.readSecret(namespace, name, signal),
        await reader.readPullSecretNames(namespace, name, signal),
      ];

      assert.deepEqual(answers, [{ status: 'absent' }, { status: 'absent' }]);
      assert.deepEqual(fake.requests, []);
    });
  }
});
