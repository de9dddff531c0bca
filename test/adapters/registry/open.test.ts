import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openRegistryCloner, type RegistrySettings } from '../../../lib/adapters/registry/open.ts';
import { answer, makeImage, seed } from '../../../lib/memory-registry/index.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { openBench } from './bench.ts';

const { signal } = new AbortController();

describe('openRegistryCloner', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'open-registry-'));
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });

  const settings: RegistrySettings = {
    configuredHosts: [],
    insecureRegistries: [],
    caFile: undefined,
    maxImageBytes: undefined,
    insideCluster: false,
    proxy: undefined,
    onAnswer: () => undefined,
  };

  it('opens with a file of certificates and a proxy', async () => {
    const caFile = join(folder, 'ca.pem');
    await writeFile(caFile, (await makeCertificate('01')).cert);
    const proxy = { https: 'proxy.test:3128', http: '', no: '.svc,10.0.0.0/8' };

    const cloner = await openRegistryCloner({ ...settings, caFile, proxy });

    assert.equal(cloner.keepsDigest, true);
  });

  const broken = [
    ['is not there', undefined],
    ['holds no certificate', 'hello'],
    ['holds half a certificate', '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'],
  ] as const;
  for (const [what, content] of broken) {
    it(`names REGISTRY_CA_FILE where it ${what}`, async () => {
      const caFile = join(folder, 'broken.pem');
      if (content !== undefined) await writeFile(caFile, content);

      await assert.rejects(openRegistryCloner({ ...settings, caFile }), {
        name: 'ConfigError',
        message: `REGISTRY_CA_FILE ${caFile} is not a readable file of certificates in PEM`,
      });
    });
  }

  it('names the proxy where it is no address, and repeats no password', async () => {
    const proxy = { https: 'http://me:5ecret@[proxy', http: '', no: '' };

    await assert.rejects(openRegistryCloner({ ...settings, proxy }), {
      name: 'ConfigError',
      message:
        'HTTPS_PROXY and HTTP_PROXY must be addresses, such as http://proxy.example.com:3128',
    });
  });

  it('tells of every answer, and of what is left of a rate limit', async () => {
    const bench = await openBench();
    try {
      seed(bench.source, 'app:1', makeImage());
      const { host } = bench.source;
      bench.source.faults.add(
        () => true,
        answer(503, { headers: { 'ratelimit-remaining': '76;w=21600' } }),
        { times: 1 },
      );
      const told: unknown[] = [];
      const cloner = await openRegistryCloner({
        ...settings,
        insecureRegistries: [host],
        onAnswer: (event) => told.push(event),
      });

      await cloner.resolve({ domain: host, path: 'app', tag: '1' }, { side: 'source' }, signal);

      assert.deepEqual(told, [
        { host, method: 'HEAD', status: 503, remaining: 76 },
        { host, method: 'HEAD', status: 200, remaining: undefined },
      ]);
    } finally {
      await bench.close();
    }
  });
});
