import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { seal } from '../../../functions/build/finalize-bundle.ts';

describe('seal', () => {
  let dir: string;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'seal-'));
    await writeFile(join(dir, 'webhook.js'), 'const begin = "-----BEGIN PRIVATE KEY-----";\n');
    await writeFile(join(dir, 'package.json'), '{"type":"module"}\n');
  });
  afterEach(async () => {
    await rm(dir, { recursive: true });
  });

  const options = (): Parameters<typeof seal>[0] => ({
    dir,
    epoch: 1_700_000_000,
    paths: ['/home/me/image-cloner'],
  });

  it('gives everything one time', async () => {
    await seal(options());

    for (const name of ['.', 'webhook.js', 'package.json']) {
      assert.equal((await stat(join(dir, name))).mtimeMs, 1_700_000_000_000, name);
    }
  });

  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const refused = [
    {
      name: 'chunk-A1.js',
      text: JSON.stringify(privateKey),
      says: /chunk-A1\.js holds a private key/,
    },
    { name: 'chunk-A2.js', text: privateKey, says: /holds a private key/ },
    {
      name: 'x.js',
      text: '// /home/me/image-cloner/lib/x.ts',
      says: /x\.js names \/home\/me\/image-cloner/,
    },
    { name: 'webhook.js.map', text: '{}', says: /webhook\.js\.map is not of the bundle/ },
    { name: 'tls.key', text: '', says: /tls\.key is not of the bundle/ },
    { name: '.env', text: '', says: /\.env is not of the bundle/ },
  ];
  for (const { name, text, says } of refused) {
    it(`refuses ${name}`, async () => {
      await writeFile(join(dir, name), text);

      await assert.rejects(seal(options()), says);
    });
  }
});
