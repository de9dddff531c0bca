import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { findCertificateProblem } from '../../../../functions/deploy/certificates/index.ts';
import {
  type CertificateChain,
  createCertificateChain,
} from '../../../../lib/install/certificate.ts';

const host = 'image-cloner.kourier-system.svc';
const now = new Date('2026-06-01T00:00:00Z');
const nextYear = new Date('2027-06-02T00:00:00Z');

function toData({ certificate, key }: Pick<CertificateChain, 'certificate' | 'key'>): {
  readonly 'tls.crt': string;
  readonly 'tls.key': string;
} {
  return { 'tls.crt': btoa(certificate), 'tls.key': btoa(key) };
}

describe('findCertificateProblem', () => {
  let chain: CertificateChain;
  let other: CertificateChain;

  before(async () => {
    [chain, other] = await Promise.all([
      createCertificateChain({ hosts: [host], now }),
      createCertificateChain({ hosts: [host], now }),
    ]);
  });

  it('finds no problem in a certificate that a CA of the bundle signed', () => {
    const ca = `${other.ca}\n${chain.ca}`;

    assert.equal(findCertificateProblem(toData(chain), { host, ca, now }), undefined);
  });

  it('accepts every certificate if the API server trusts the CAs of its system', () => {
    assert.equal(findCertificateProblem(toData(chain), { host, ca: '', now }), undefined);
  });

  it('finds a Secret without a certificate', () => {
    for (const data of [{}, { 'tls.crt': btoa('no PEM') }, { 'tls.crt': '%' }]) {
      const problem = findCertificateProblem(data, { host, ca: chain.ca, now });

      assert.equal(problem, 'there is no certificate');
    }
  });

  it('finds a certificate for another host', () => {
    const problem = findCertificateProblem(toData(chain), {
      host: 'copier.tools.svc',
      ca: chain.ca,
      now,
    });

    assert.equal(problem, 'the certificate is not for copier.tools.svc');
  });

  it('finds an expired certificate', () => {
    const problem = findCertificateProblem(toData(chain), { host, ca: chain.ca, now: nextYear });

    assert.match(problem ?? '', /^the certificate expired at Jun/);
  });

  it('finds a certificate whose key is of another certificate or not readable', () => {
    for (const key of [other.key, 'no key']) {
      const problem = findCertificateProblem(toData({ ...chain, key }), {
        host,
        ca: chain.ca,
        now,
      });

      assert.equal(problem, 'the key does not belong to the certificate');
    }
  });

  it('finds a certificate of another CA', () => {
    const problem = findCertificateProblem(toData(chain), { host, ca: other.ca, now });

    assert.equal(problem, 'the certificate is not from the CA');
  });
});
