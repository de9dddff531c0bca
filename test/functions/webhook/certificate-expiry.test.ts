import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { watchCertificateExpiry } from '../../../functions/webhook/certificate-expiry.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

const now = Date.UTC(2027, 0, 1);
const dayMs = 86_400_000;

describe('watchCertificateExpiry', () => {
  it('the webhook warns once a day in the last 20 days of a certificate, until it is renewed', async (t) => {
    const inDays = async (days: number): Promise<string> =>
      (await makeCertificate('01', { notAfter: new Date(now + days * dayMs) })).cert;
    const [first, second] = [await inDays(21.5), await inDays(365)];
    t.mock.timers.enable({ apis: ['setInterval', 'Date'], now });
    const { logger, lines } = createMemoryLog();
    const reported: string[] = [];

    const watch = watchCertificateExpiry({
      file: '/tls/tls.crt',
      cert: first,
      onExpiry: (at) => reported.push(at.toISOString()),
      logger,
    });
    t.mock.timers.tick(dayMs);
    assert.equal(lines.length, 0);
    t.mock.timers.tick(dayMs);
    t.mock.timers.tick(dayMs);
    assert.deepEqual(
      lines.map(({ level, fields }) => [level, fields['days']]),
      [
        ['warn', 19],
        ['warn', 18],
      ],
    );
    assert.equal(lines[0]?.message, 'the certificate expires soon: renew it');
    assert.equal(lines[0]?.fields['expiresAt'], '2027-01-22T12:00:00.000Z');

    watch.renew(second);
    t.mock.timers.tick(dayMs * 3);
    assert.equal(lines.length, 2);
    assert.deepEqual(reported, ['2027-01-22T12:00:00.000Z', '2028-01-01T00:00:00.000Z']);

    watch.stop();
    t.mock.timers.tick(dayMs * 365);
    assert.equal(lines.length, 2);
  });

  it('the webhook warns at its start about an expired certificate', async (t) => {
    const { cert } = await makeCertificate('01', { notAfter: new Date(now - 1000) });
    t.mock.timers.enable({ apis: ['setInterval', 'Date'], now });
    const { logger, lines } = createMemoryLog();

    watchCertificateExpiry({ file: '/tls/tls.crt', cert, onExpiry() {}, logger }).stop();

    assert.deepEqual(
      lines.map(({ message, fields }) => [message, fields['days']]),
      [['the certificate has expired and the API server rejects it: renew it', -1]],
    );
  });
});
