// @peculiar/x509 depends on tsyringe, which does not load without it.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

/** A CA and a server certificate that it signed, with their keys, in PEM. */
export interface CertificateChain {
  /** `caBundle` of the webhook configuration. */
  readonly ca: string;
  readonly caKey: string;
  readonly certificate: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** DNS names and IP addresses of the server; the first is the common name too. */
  readonly hosts: readonly [string, ...string[]];
  readonly now: Date;
}

interface KeyPair {
  readonly publicKey: CryptoKey;
  readonly privateKey: CryptoKey;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const caSubject: x509.JsonName = [{ CN: ['image-cloner CA'] }];
/** RFC 5280, `ub-common-name`. */
const maxCommonNameLength = 64;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const leafDays = 365;
const caDays = 3650;

/** Creates a CA (ten years) and a server certificate that it signs (one year), each with its own P-256 key. */
export async function createCertificateChain(
  options: CertificateOptions,
): Promise<CertificateChain> {
  x509.cryptoProvider.set(globalThis.crypto);
  const [caKeys, keys] = await Promise.all([generateKeys(), generateKeys()]);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: caSubject,
    keys: caKeys,
    signingAlgorithm: algorithm,
    serialNumber: createSerialNumber(),
    ...toValidity(options.now, caDays),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [toCommonName(options.hosts)] }],
    issuer: caSubject,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: algorithm,
    serialNumber: createSerialNumber(),
    ...toValidity(options.now, leafDays),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      // Go verifies these names only, not the common name.
      new x509.SubjectAlternativeNameExtension(
        options.hosts.map((value) => ({ type: isAddress(value) ? 'ip' : 'dns', value }) as const),
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });

  return {
    ca: `${ca.toString('pem')}\n`,
    caKey: await formatKey(caKeys),
    certificate: `${certificate.toString('pem')}\n`,
    key: await formatKey(keys),
  };
}

async function generateKeys(): Promise<KeyPair> {
  return await globalThis.crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

/** PKCS #8. */
async function formatKey({ privateKey }: KeyPair): Promise<string> {
  const bytes = await globalThis.crypto.subtle.exportKey('pkcs8', privateKey);
  return `${x509.PemConverter.encode(bytes, 'PRIVATE KEY')}\n`;
}

/** The validity starts an hour early, for clients whose clocks are slow. */
function toValidity(now: Date, days: number): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: new Date(now.getTime() - hourMs),
    notAfter: new Date(now.getTime() + days * dayMs),
  };
}

/** Random, positive and always 16 bytes long, in hex. */
function createSerialNumber(): string {
  const [first = 0, ...rest] = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return [(first & 0x3f) | 0x40, ...rest]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
}

function toCommonName([host]: CertificateOptions['hosts']): string {
  return host.length <= maxCommonNameLength ? host : host.slice(0, host.indexOf('.'));
}

/** A host is a name of a Service or part of a URL, so a colon or four numbers mean an address. */
function isAddress(host: string): boolean {
  return host.includes(':') || /^\d+(\.\d+){3}$/.test(host);
}
