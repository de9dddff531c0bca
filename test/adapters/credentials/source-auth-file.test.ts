import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openSourceAuthFile } from '../../../lib/adapters/credentials/source-auth-file.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

describe('openSourceAuthFile', () => {
  const { logger } = createMemoryLog();
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'source-auth-'));
  });
  afterEach(async () => {
    await rm(dir, { recursive: true });
  });

  it('finds the credentials of an image in SOURCE_AUTH_FILE, and re-reads the file', async () => {
    const file = join(dir, 'config.json');
    await writeFile(file, '{"auths":{"reg.test":{"auth":"YTpi"}}}');
    const source = await openSourceAuthFile({ file, logger });
    const image = { domain: 'reg.test', path: 'x' };
    assert.deepEqual(await source.credentialsFor(image), [{ username: 'a', password: 'b' }]);

    await writeFile(file, '{"auths":{"reg.test":{"auth":"YTpj"}}}');

    assert.deepEqual(await source.credentialsFor(image), [{ username: 'a', password: 'c' }]);
  });

  it('logs once what is not used of SOURCE_AUTH_FILE, without its secrets', async () => {
    const file = join(dir, 'config.json');
    const auths = {
      'ghcr.io': {},
      'quay.io': null,
      'corp.azurecr.io': { auth: Buffer.from('0000:').toString('base64'), identitytoken: 's3cret' },
      'mcr.test': { identitytoken: 's3cret' },
      'bad.test': { auth: 'bm9jb2xvbg==' },
      'https://acme:s3cret@user.test/v2/': {},
      'good.test': { username: 'a', password: 'b' },
    };
    const credHelpers = { 'gcr.io': 'gcloud' };
    await writeFile(file, JSON.stringify({ auths, credsStore: 'desktop', credHelpers }));
    const { logger: log, lines } = createMemoryLog();

    const source = await openSourceAuthFile({ file, logger: log });
    await source.credentialsFor({ domain: 'good.test', path: 'x' });
    assert.deepEqual(await source.credentialsFor({ domain: 'mcr.test', path: 'x' }), [
      { username: '<token>', password: 's3cret', isIdentityToken: true },
    ]);

    const inline = 'put a username and a password into auths';
    const messages = [
      `SOURCE_AUTH_FILE: credsStore names the program desktop, which does not run here; ${inline}`,
      `SOURCE_AUTH_FILE: credHelpers names a program for gcr.io, which does not run here; ${inline}`,
      'SOURCE_AUTH_FILE: the entry ghcr.io has no username and password',
      'SOURCE_AUTH_FILE: the entry quay.io has no username and password',
      'SOURCE_AUTH_FILE: the entry bad.test has no username and password',
      'SOURCE_AUTH_FILE: the entry user.test/v2/ has no username and password',
    ];
    assert.deepEqual(
      lines,
      messages.map((message) => ({ level: 'warn', message, fields: { file } })),
    );
  });

  it('rejects a missing or malformed SOURCE_AUTH_FILE and names it', async () => {
    const file = join(dir, 'config.json');
    await assert.rejects(openSourceAuthFile({ file, logger }), {
      name: 'ConfigError',
      message: `SOURCE_AUTH_FILE ${file} cannot be used: it does not exist; mount a docker config.json there, or unset SOURCE_AUTH_FILE`,
    });

    await writeFile(file, 's3cret');

    await assert.rejects(openSourceAuthFile({ file, logger }), {
      message: `SOURCE_AUTH_FILE ${file} cannot be used: it is not a docker config.json with "auths"; mount a docker config.json there, or unset SOURCE_AUTH_FILE`,
    });
  });
});
