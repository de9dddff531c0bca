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

  it('reads a secret by its name', async () => {
    const data = { '.dockerconfigjson': 'e30=' };
    const type = 'kubernetes.io/dockerconfigjson';
    fake.answers.set('a/secrets/pull.1', { body: { kind: 'Secret', type, data } });

    const answer = await reader.readSecret('a', 'pull.1', signal);

    assert.deepEqual(answer, { status: 'found', found: { type, data } });
    assert.deepEqual(fake.requests, ['GET a/secrets/pull.1']);
  });

  it('reads a secret that holds nothing', async () => {
    fake.answers.set('a/secrets/empty', { body: { kind: 'Secret' } });

    const answer = await reader.readSecret('a', 'empty', signal);

    assert.deepEqual(answer, { status: 'found', found: { type: '', data: {} } });
  });

  it("reads the names of a ServiceAccount's pull secrets", async () => {
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

  it('reads what a namespace says of itself, as far as it is for us', async () => {
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

  it('keeps its connections, which the SDK by itself does not', async () => {
    for (let index = 0; index < 20; index += 1) await reader.readSecret('a', `s${index}`, signal);

    assert.ok(fake.connections() <= 3, `${fake.connections()} connections for 20 requests`);
  });

  const refusals: readonly (readonly [what: string, number, status: string])[] = [
    ['what is not there', 404, 'absent'],
    ['what RBAC forbids', 403, 'forbidden'],
  ];
  for (const [what, code, status] of refusals) {
    it(`has a status for ${what}, and no line in the log`, async () => {
      fake.answers.set('a/secrets/x', { status: code, body: { kind: 'Status', code } });

      assert.deepEqual(await reader.readSecret('a', 'x', signal), { status });
      assert.deepEqual(log.lines, []);
    });
  }

  const silences: readonly (readonly [what: string, FakeAnswer, problem: string])[] = [
    ['an error', { status: 500, body: 's3cret' }, 'HTTP 500'],
    ['too many requests', { status: 429, body: {} }, 'HTTP 429'],
    ['a token that is refused', { status: 401, body: {} }, 'HTTP 401'],
    ['something else than JSON', { body: '<html>s3cret' }, 'an answer that is not JSON'],
    ['JSON that is no object', { body: 'null' }, 'no usable answer'],
  ];
  for (const [what, answer, problem] of silences) {
    it(`takes ${what} for no answer, and does not quote it`, async () => {
      fake.answers.set('a/secrets/x', answer);

      assert.deepEqual(await reader.readSecret('a', 'x', signal), { status: 'unavailable' });
      assert.deepEqual(log.lines, [
        {
          level: 'warn',
          message: 'the API server was asked in vain',
          fields: { kind: 'Secret', namespace: 'a', name: 'x', problem },
        },
      ]);
    });
  }

  for (const hang of ['before', 'amid body'] as const) {
    it(`waits no longer than its signal when the answer hangs (${hang})`, async () => {
      fake.answers.set('a/secrets/x', { hang });

      const answer = await reader.readSecret('a', 'x', AbortSignal.timeout(50));

      assert.deepEqual(answer, { status: 'unavailable' });
      assert.deepEqual(
        log.lines.map(({ fields }) => fields['problem']),
        ['no answer in time'],
      );
    });
  }

  it('survives an API server that is gone, and asks again on a new connection', async () => {
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
    it(`never asks for ${namespace.slice(0, 20)} ${name.slice(0, 30)}, which can be no object`, async () => {
      const answers = [
        await reader.readSecret(namespace, name, signal),
        await reader.readPullSecretNames(namespace, name, signal),
      ];

      assert.deepEqual(answers, [{ status: 'absent' }, { status: 'absent' }]);
      assert.deepEqual(fake.requests, []);
    });
  }
});
