import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openRegistryCloner, type RegistrySettings } from '../../../lib/adapters/registry/open.ts';
import { answer, makeImage, seed } from '../../../lib/memory-registry/index.ts';
import { openBench } from './bench.ts';

const { signal } = new AbortController();

describe('openRegistryCloner', () => {
  const settings: RegistrySettings = {
    configuredHosts: [],
    insecureRegistries: [],
    trust: undefined,
    maxImageBytes: undefined,
    insideCluster: false,
    proxy: undefined,
    onResponse: () => undefined,
  };

  it('opens a registry cloner with a proxy', () => {
    const proxy = { https: 'proxy.test:3128', http: '', no: '.svc,10.0.0.0/8' };

    assert.equal(typeof openRegistryCloner({ ...settings, proxy }).copy, 'function');
  });

  it('names the proxy variables if the URL is invalid, without the password', () => {
    const proxy = { https: 'http://me:5ecret@[proxy', http: '', no: '' };

    assert.throws(() => openRegistryCloner({ ...settings, proxy }), {
      name: 'ConfigError',
      message: 'HTTPS_PROXY and HTTP_PROXY must be URLs, such as http://proxy.example.com:3128',
    });
  });

  it('reports every registry response, and how much of a rate limit remains', async () => {
    const bench = await openBench();
    try {
      seed(bench.source, 'app:1', makeImage());
      const { host } = bench.source;
      bench.source.faults.add(
        () => true,
        answer(503, { headers: { 'ratelimit-remaining': '76;w=21600' } }),
        { times: 1 },
      );
      const responses: unknown[] = [];
      const cloner = openRegistryCloner({
        ...settings,
        insecureRegistries: [host],
        onResponse: (event) => responses.push(event),
      });

      await cloner.resolve({ domain: host, path: 'app', tag: '1' }, { side: 'source' }, signal);

      assert.deepEqual(responses, [
        { host, method: 'HEAD', status: 503, remaining: 76 },
        { host, method: 'HEAD', status: 200, remaining: undefined },
      ]);
    } finally {
      await bench.close();
    }
  });
});
