import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createStatusApp } from '../../../../functions/webhook/status/page.ts';

const hostile = '<script>alert(1)</script> & "quoted"';
const app = createStatusApp(() => [
  { title: 'image-cloner 1.2.3', lines: ['replica a'] },
  { title: 'Registries', lines: [hostile] },
]);
const url = 'http://localhost:8081/status';

async function get(headers: Readonly<Record<string, string>> = {}, path = url): Promise<Response> {
  return await app.request(path, { headers: { host: 'localhost:8081', ...headers } });
}

describe('GET /status', () => {
  it('the status page is text for curl', async () => {
    const response = await get({ accept: '*/*' });

    assert.equal(response.headers.get('content-type'), 'text/plain; charset=UTF-8');
    assert.equal(
      await response.text(),
      `image-cloner 1.2.3\n  replica a\n\nRegistries\n  ${hostile}\n`,
    );
  });

  it('the status page is HTML for a browser, and text of others stays text', async () => {
    const text = await (await get({ accept: 'text/html,application/xhtml+xml' })).text();

    assert.match(text, /<h1>image-cloner 1\.2\.3<\/h1>/);
    assert.match(text, /&lt;script&gt;alert\(1\)&lt;\/script&gt; &amp; &quot;quoted&quot;/);
    assert.doesNotMatch(text, /<script/);
  });

  it('the status page allows no script, no frame and no cache', async () => {
    const { headers } = await get();

    assert.match(
      headers.get('content-security-policy') ?? '',
      /^default-src 'none';.*frame-ancestors 'none'$/,
    );
    assert.equal(headers.get('cache-control'), 'no-store');
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('referrer-policy'), 'no-referrer');
  });

  for (const host of ['localhost', '127.0.0.1:9000', '[::1]:8081', 'LOCALHOST:1']) {
    it(`the status page answers at ${host}`, async () => {
      assert.equal((await get({ host })).status, 200);
    });
  }

  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '']) {
    it(`the status page does not answer a browser that was led to ${host || 'no host'}`, async () => {
      const response = await get({ host });

      assert.equal(response.status, 421);
      assert.doesNotMatch(await response.text(), /replica/);
    });
  }

  it('the status page can only be read', async () => {
    const headers = { host: 'localhost' };
    const posted = await app.request(url, { method: 'POST', headers });
    const head = await app.request(url, { method: 'HEAD', headers });

    assert.equal(posted.status, 405);
    assert.equal(posted.headers.get('allow'), 'GET, HEAD');
    assert.equal(head.status, 200);
  });

  it('the root leads to the status page', async () => {
    const response = await get({}, 'http://localhost:8081/');

    assert.equal(response.headers.get('location'), '/status');
  });
});
