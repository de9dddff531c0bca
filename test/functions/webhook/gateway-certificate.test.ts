import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { watchGatewayCertificate } from '../../../functions/webhook/gateway-certificate.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

describe('watchGatewayCertificate', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'gateway-'));
  });
  afterEach(async () => {
    await rm(dir, { recursive: true });
  });

  it('reports when the certificate of the gateway expires, though the webhook does not present it', async () => {
    const file = join(dir, 'tls.crt');
    const notAfter = new Date('2099-01-01T00:00:00.000Z');
    await writeFile(file, (await makeCertificate('01', { notAfter })).cert);
    const { logger, lines } = createMemoryLog();
    const { promise, resolve } = Promise.withResolvers<Date>();

    const stop = watchGatewayCertificate({ file, onExpiry: resolve, logger });

    assert.deepEqual(await promise, notAfter);
    stop();
    assert.deepEqual(lines, []);
  });

  it('says once that there is no certificate of the gateway, and goes on without', async () => {
    const log = createMemoryLog();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const logger = {
      ...log.logger,
      warn: (...args: Parameters<typeof log.logger.warn>) => {
        log.logger.warn(...args);
        resolve(undefined);
      },
    };

    const stop = watchGatewayCertificate({
      file: join(dir, 'tls.crt'),
      onExpiry: () => assert.fail('there is none'),
      logger,
    });

    await promise;
    stop();
    assert.deepEqual(
      log.lines.map(({ level, message }) => [level, message]),
      [['warn', 'the certificate of the gateway cannot be read, so its expiry is not known']],
    );
  });
});
