import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { finalizeBundle } from '../../../functions/build/finalize-bundle.ts';

describe('finalizeBundle', () => {
  let dir: string;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bundle-'));
    await writeFile(join(dir, 'webhook.js'), 'const begin = "-----BEGIN PRIVATE KEY-----";\n');
    await writeFile(join(dir, 'package.json'), '{"type":"module"}\n');
  });
  afterEach(async () => {
    await rm(dir, { recursive: true });
  });

  const options = (): Parameters<typeof finalizeBundle>[0] => ({
    dir,
    epoch: 1_700_000_000,
    paths: ['/home/me/image-cloner'],
  });

  it('sets SOURCE_DATE_EPOCH on the folder and every file of a bundle', async () => {
    await finalizeBundle(options());

    for (const name of ['.', 'webhook.js', 'package.json']) {
      assert.equal((await stat(join(dir, name))).mtimeMs, 1_700_000_000_000, name);
    }
  });

  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const rejected = [
    {
      title: 'a private key in a string literal',
      name: 'chunk-A1.js',
      text: JSON.stringify(privateKey),
      reason: 'it contains a private key',
    },
    {
      title: 'a private key',
      name: 'chunk-A2.js',
      text: privateKey,
      reason: 'it contains a private key',
    },
    {
      title: 'a path of the build machine',
      name: 'x.js',
      text: '// /home/me/image-cloner/lib/x.ts',
      reason: 'it contains /home/me/image-cloner, a path of the build machine',
    },
    {
      title: 'a source map',
      name: 'webhook.js.map',
      text: '{}',
      reason: 'it is not a file of the bundle',
    },
    { title: 'a key file', name: 'tls.key', text: '', reason: 'it is not a file of the bundle' },
    { title: 'an .env file', name: '.env', text: '', reason: 'it is not a file of the bundle' },
  ];
  for (const { title, name, text, reason } of rejected) {
    it(`rejects a bundle with ${title}`, async () => {
      await writeFile(join(dir, name), text);

      await assert.rejects(finalizeBundle(options()), {
        name: 'Error',
        message: `${name} cannot be put into the image: ${reason}`,
      });
    });
  }
});
