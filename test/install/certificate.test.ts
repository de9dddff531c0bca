import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import { createCertificateChain } from '../../lib/install/certificate.ts';

const now = new Date('2026-11-24T12:00:00.000Z');
const names = [
  'image-cloner.kourier-system.svc',
  'image-cloner.kourier-system.svc.cluster.local',
] as const;

describe('createCertificateChain', () => {
  it("certifies all DNS names of the webhook's Service and no other", async () => {
    const leaf = new X509Certificate(
      (await createCertificateChain({ hosts: names, now })).certificate,
    );

    assert.equal(leaf.subject, 'CN=image-cloner.kourier-system.svc');
    assert.equal(
      leaf.subjectAltName,
      'DNS:image-cloner.kourier-system.svc, DNS:image-cloner.kourier-system.svc.cluster.local',
    );
    assert.equal(leaf.checkHost(names[0], { subject: 'never' }), names[0]);
    assert.equal(leaf.checkHost(names[1], { subject: 'never' }), names[1]);
    assert.equal(leaf.checkHost('image-cloner.default.svc'), undefined);
  });

  const addresses = [
    { host: '127.0.0.1', text: 'IP Address:127.0.0.1' },
    { host: '::1', text: 'IP Address:0:0:0:0:0:0:0:1' },
  ];
  for (const { host, text } of addresses) {
    it(`certifies the IP address ${host} of the webhook`, async () => {
      const { certificate } = await createCertificateChain({ hosts: [host], now });

      const leaf = new X509Certificate(certificate);
      assert.equal(leaf.checkIP(host), host);
      assert.equal(leaf.checkIP('127.0.0.2'), undefined);
      assert.equal(leaf.subjectAltName, text);
    });
  }

  it('uses the name of the Service as the common name if the host has more than 64 characters', async () => {
    const service = 'a'.repeat(60);
    const host = `${service}.tools.svc`;

    const { certificate } = await createCertificateChain({ hosts: [host], now });

    const leaf = new X509Certificate(certificate);
    assert.equal(leaf.subject, `CN=${service}`);
    assert.equal(leaf.checkHost(host, { subject: 'never' }), host);
  });

  it('signs the server certificate with the CA and restricts it to server authentication', async () => {
    const chain = await createCertificateChain({ hosts: names, now });

    const [ca, leaf] = [new X509Certificate(chain.ca), new X509Certificate(chain.certificate)];
    assert.equal(ca.subject, 'CN=image-cloner CA');
    assert.equal(ca.ca, true);
    assert.equal(ca.verify(ca.publicKey), true);
    assert.equal(leaf.ca, false);
    assert.equal(leaf.issuer, 'CN=image-cloner CA');
    assert.equal(leaf.verify(ca.publicKey), true);
    // Also compares the authority key identifier of the leaf with the subject key identifier of the CA.
    assert.equal(leaf.checkIssued(ca), true);
    // TLS Web Server Authentication.
    assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  });

  it('returns the P-256 keys of the CA and of the server certificate', async () => {
    const chain = await createCertificateChain({ hosts: names, now });

    const keys = [createPrivateKey(chain.caKey), createPrivateKey(chain.key)] as const;
    assert.equal(new X509Certificate(chain.ca).checkPrivateKey(keys[0]), true);
    assert.equal(new X509Certificate(chain.certificate).checkPrivateKey(keys[1]), true);
    assert.deepEqual(
      keys.map(({ asymmetricKeyDetails }) => asymmetricKeyDetails),
      [{ namedCurve: 'prime256v1' }, { namedCurve: 'prime256v1' }],
    );
  });

  it('makes a server certificate for one year and a CA for ten, valid from an hour ago', async () => {
    const chain = await createCertificateChain({ hosts: names, now });

    const [ca, leaf] = [new X509Certificate(chain.ca), new X509Certificate(chain.certificate)];
    assert.equal(leaf.validFrom, 'Nov 24 11:00:00 2026 GMT');
    assert.equal(leaf.validTo, 'Nov 24 12:00:00 2027 GMT');
    assert.equal(ca.validFrom, 'Nov 24 11:00:00 2026 GMT');
    assert.equal(ca.validTo, 'Nov 21 12:00:00 2036 GMT');
  });

  it('creates new keys and serial numbers for every certificate', async () => {
    const first = await createCertificateChain({ hosts: names, now });
    const second = await createCertificateChain({ hosts: names, now });

    const serials = [first.ca, first.certificate, second.ca, second.certificate].map(
      (pem) => new X509Certificate(pem).serialNumber,
    );
    assert.equal(new Set(serials).size, 4);
    for (const serial of serials) assert.match(serial, /^[4-7][0-9A-F]{31}$/);
    assert.equal(new Set([first.key, first.caKey, second.key, second.caKey]).size, 4);
  });
});
