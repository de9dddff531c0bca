// @peculiar/x509 finds its algorithms with tsyringe, which refuses to load without it.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

/** All in PEM. */
export interface CertificateChain {
  /** What clients trust: `caBundle` of the webhook configuration. */
  readonly ca: string;
  readonly caKey: string;
  readonly certificate: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** DNS names and IP addresses of the server, at least one; the first is the common name too. */
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

/** Makes a new CA (ten years) and a server certificate of it (one year), each with a P-256 key of its own. */
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
      // Go reads names from here only; the common name is for people.
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

/** A clock that is a little slow must not refuse what was made this minute. */
function toValidity(now: Date, days: number): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: new Date(now.getTime() - hourMs),
    notAfter: new Date(now.getTime() + days * dayMs),
  };
}

/** 127 random bits in hex: positive, and 16 bytes long. */
function createSerialNumber(): string {
  const [first = 0, ...rest] = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return [(first & 0x3f) | 0x40, ...rest]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
}

function toCommonName([host]: CertificateOptions['hosts']): string {
  return host.length <= maxCommonNameLength ? host : host.slice(0, host.indexOf('.'));
}

/** Hosts come from a URL or are names of Services, so that anything with a colon, or of four numbers, is an address. */
function isAddress(host: string): boolean {
  return host.includes(':') || /^\d+(\.\d+){3}$/.test(host);
}
