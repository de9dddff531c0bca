import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import type { MemoryRegistry } from '../../../lib/memory-registry/index.ts';
import { codeOf, createSample, digests } from '../sample.ts';

const users = { ann: 'pa:ss', bob: 'secret' };
const isPublic = (repository: string): boolean => repository === 'app';
const nobody: Readonly<Record<string, string>> = {};

function basic(name: string, password: string): Readonly<Record<string, string>> {
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` };
}

function bearer(token: string): Readonly<Record<string, string>> {
  return { authorization: `Bearer ${token}` };
}

function allows(user: string, _repository: string, action: string): boolean {
  return user === 'ann' || action === 'pull';
}

describe('a registry with passwords', () => {
  const rows = [
    {
      title: 'challenges who says nothing',
      request: 'GET /v2/',
      headers: nobody,
      status: 401,
      code: 'UNAUTHORIZED',
    },
    {
      title: 'lets a user in, colon in the password',
      request: 'GET /v2/',
      headers: basic('ann', 'pa:ss'),
      status: 200,
      code: '',
    },
    {
      title: 'refuses another password',
      request: 'GET /v2/',
      headers: basic('ann', 'pa'),
      status: 401,
      code: 'UNAUTHORIZED',
    },
    {
      title: 'refuses a token',
      request: 'GET /v2/',
      headers: bearer('x'),
      status: 401,
      code: 'UNAUTHORIZED',
    },
    {
      title: 'gives what is public to everybody',
      request: 'GET /v2/app/manifests/1',
      headers: nobody,
      status: 200,
      code: '',
    },
    {
      title: 'refuses a wrong password for what is public',
      request: 'GET /v2/app/manifests/1',
      headers: basic('eve', 'x'),
      status: 401,
      code: 'UNAUTHORIZED',
    },
    {
      title: 'takes nothing for what is public from everybody',
      request: 'POST /v2/app/blobs/uploads/',
      headers: nobody,
      status: 401,
      code: 'UNAUTHORIZED',
    },
    {
      title: 'hides what is private',
      request: 'GET /v2/own/tags/list',
      headers: nobody,
      status: 401,
      code: 'UNAUTHORIZED',
    },
    {
      title: 'lets a user write',
      request: 'POST /v2/own/blobs/uploads/',
      headers: basic('ann', 'pa:ss'),
      status: 202,
      code: '',
    },
    {
      title: 'denies a user what he may not',
      request: 'POST /v2/own/blobs/uploads/',
      headers: basic('bob', 'secret'),
      status: 403,
      code: 'DENIED',
    },
    {
      title: 'hides its catalog',
      request: 'GET /v2/_catalog',
      headers: nobody,
      status: 401,
      code: 'UNAUTHORIZED',
    },
  ];
  for (const { title, request, headers, status, code } of rows) {
    it(title, async () => {
      const { app } = createSample({ auth: { scheme: 'basic', users, isPublic, allows } });
      const [method = '', path = ''] = request.split(' ');

      const response = await app.request(path, { method, headers });

      assert.equal(response.status, status);
      assert.equal(await codeOf(response), code);
      assert.equal(
        response.headers.get('www-authenticate'),
        status === 401 ? 'Basic realm="memory-registry"' : null,
      );
    });
  }
});

const answerSchema = v.object({
  token: v.string(),
  access_token: v.string(),
  expires_in: v.number(),
  issued_at: v.string(),
  refresh_token: v.optional(v.string(), ''),
});

function createGuarded(now: () => number = () => 0): MemoryRegistry {
  return createSample({ auth: { scheme: 'bearer', users, isPublic }, now });
}

async function fetchToken(
  { app }: MemoryRegistry,
  query: string,
  init: RequestInit = {},
): Promise<v.InferOutput<typeof answerSchema>> {
  const response = await app.request(`/token?service=memory-registry${query}`, init);
  assert.equal(response.status, 200);
  return v.parse(answerSchema, await response.json());
}

describe('a registry with tokens', () => {
  const challenges = [
    { request: 'GET /v2/', scope: '' },
    { request: 'GET /v2/app/manifests/1', scope: ',scope="repository:app:pull"' },
    { request: `HEAD /v2/a/b/blobs/${digests.layer}`, scope: ',scope="repository:a/b:pull"' },
    { request: 'POST /v2/app/blobs/uploads/', scope: ',scope="repository:app:pull,push"' },
    {
      request: `POST /v2/app/blobs/uploads/?mount=${digests.layer}&from=base`,
      scope: ',scope="repository:app:pull,push repository:base:pull"',
    },
    {
      request: `DELETE /v2/app/manifests/${digests.manifest}`,
      scope: ',scope="repository:app:delete"',
    },
    { request: 'GET /v2/_catalog', scope: ',scope="registry:catalog:*"' },
  ];
  for (const { request, scope } of challenges) {
    it(`says which token ${request.split('?')[0]?.slice(0, 30)} takes`, async () => {
      const [method = '', path = ''] = request.split(' ');

      const response = await createGuarded().app.request(path, { method });

      assert.equal(response.status, 401);
      assert.equal(
        response.headers.get('www-authenticate'),
        `Bearer realm="http://localhost/token",service="memory-registry"${scope}`,
      );
    });
  }

  it('gives everybody a token to pull what is public, and no more', async () => {
    const registry = createGuarded();

    const { token, access_token, expires_in, issued_at } = await fetchToken(
      registry,
      '&scope=repository:app:pull,push&scope=repository:own:pull',
    );
    const pull = await registry.app.request('/v2/app/manifests/1', { headers: bearer(token) });
    const push = await registry.app.request('/v2/app/blobs/uploads/', {
      method: 'POST',
      headers: bearer(token),
    });
    const other = await registry.app.request('/v2/own/tags/list', { headers: bearer(token) });

    assert.equal(access_token, token);
    assert.deepEqual([expires_in, issued_at], [300, '1970-01-01T00:00:00.000Z']);
    assert.deepEqual([pull.status, push.status, other.status], [200, 401, 401]);
    assert.match(push.headers.get('www-authenticate') ?? '', /,error="insufficient_scope"$/);
    assert.deepEqual(
      registry.tokens?.list().map(({ user, requested }) => [user, requested]),
      [[undefined, ['repository:app:pull,push', 'repository:own:pull']]],
    );
  });

  it('gives a user what he asks for', async () => {
    const registry = createGuarded();

    const { token } = await fetchToken(registry, '&scope=repository:own:pull,push', {
      headers: basic('ann', 'pa:ss'),
    });
    const push = await registry.app.request('/v2/own/blobs/uploads/', {
      method: 'POST',
      headers: bearer(token),
    });
    const cancelled = await registry.app.request(push.headers.get('location') ?? '', {
      method: 'DELETE',
      headers: bearer(token),
    });

    assert.equal(push.status, 202);
    // As at distribution: cancelling takes the right to delete.
    assert.equal(cancelled.status, 401);
  });

  it('refuses a token that has expired', async () => {
    let now = 0;
    const registry = createGuarded(() => now);
    const { token } = await fetchToken(registry, '&scope=repository:app:pull');

    now = 300_000;
    const response = await registry.app.request('/v2/app/manifests/1', { headers: bearer(token) });

    assert.equal(response.status, 401);
    assert.match(response.headers.get('www-authenticate') ?? '', /,error="invalid_token"$/);
  });

  it('refuses every token once they are expired by hand', async () => {
    const registry = createGuarded();
    const { token } = await fetchToken(registry, '&scope=repository:app:pull');

    registry.tokens?.expire();
    const response = await registry.app.request('/v2/app/manifests/1', { headers: bearer(token) });

    assert.equal(response.status, 401);
  });

  it('gives no token for a wrong password, nor for another service', async () => {
    const { app } = createGuarded();

    const wrong = await app.request('/token?service=memory-registry', {
      headers: basic('ann', 'x'),
    });
    const elsewhere = await app.request('/token?service=other');

    assert.deepEqual([wrong.status, await codeOf(wrong)], [401, 'UNAUTHORIZED']);
    assert.equal(elsewhere.status, 400);
  });

  it('takes a refresh token in place of a password', async () => {
    const registry = createGuarded();
    const first = await fetchToken(registry, '&offline_token=true', {
      headers: basic('bob', 'secret'),
    });
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: first.refresh_token,
      service: 'memory-registry',
      scope: 'repository:own:pull repository:app:pull,push',
    });

    await fetchToken(registry, '', { method: 'POST', body: form });
    form.set('refresh_token', 'made up');
    const refused = await registry.app.request('/token', { method: 'POST', body: form });

    assert.deepEqual(registry.tokens?.list().at(-1)?.user, 'bob');
    assert.deepEqual(registry.tokens?.list().at(-1)?.requested, [
      'repository:own:pull',
      'repository:app:pull,push',
    ]);
    assert.equal(refused.status, 401);
  });

  it('sends its clients to another realm on demand', async () => {
    const { app } = createSample({
      auth: { scheme: 'bearer', users, realm: () => 'https://auth.test/token', service: 's' },
    });

    const response = await app.request('/v2/');

    assert.equal(
      response.headers.get('www-authenticate'),
      'Bearer realm="https://auth.test/token",service="s"',
    );
  });
});
