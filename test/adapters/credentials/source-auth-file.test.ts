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
