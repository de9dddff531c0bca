import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

export interface CertificateAndKey {
  readonly cert: string;
  readonly key: string;
}

export interface ClientCa {
  /** PEM. */
  readonly ca: string;
  /** Issues a client certificate for `kube-apiserver`. */
  issue(): Promise<CertificateAndKey>;
}

type KeyPair = Readonly<Record<'publicKey' | 'privateKey', CryptoKey>>;

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const hourMs = 3_600_000;

export interface CertificateFields {
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** @default 127.0.0.1 */
  readonly address?: string;
  /** Host names, besides the address. */
  readonly hosts?: readonly string[];
}

/** Makes a self-signed certificate and its key, in PEM. */
export async function makeCertificate(
  serialNumber: string,
  fields: CertificateFields = {},
): Promise<CertificateAndKey> {
  const { address = '127.0.0.1', hosts = [] } = fields;
  const { notBefore = new Date(Date.now() - 60_000) } = fields;
  const { notAfter = new Date(Date.now() + hourMs) } = fields;
  const keys = await makeKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber,
    name: `CN=${address}`,
    notBefore,
    notAfter,
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: 'ip', value: address },
        ...hosts.map((value) => ({ type: 'dns' as const, value })),
      ]),
    ],
  });
  return await toPem(certificate, keys);
}

/** Makes a CA for client certificates, like the one that signs the API server's. */
export async function makeClientCa(): Promise<ClientCa> {
  const caKeys = await makeKeys();
  const valid = {
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + hourMs),
  };
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...valid,
    name: 'CN=clients',
    keys: caKeys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  return {
    ca: ca.toString('pem'),
    async issue() {
      const keys = await makeKeys();
      const certificate = await x509.X509CertificateGenerator.create({
        ...valid,
        subject: 'CN=kube-apiserver',
        issuer: ca.subject,
        publicKey: keys.publicKey,
        signingKey: caKeys.privateKey,
        signingAlgorithm: algorithm,
        extensions: [new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])],
      });
      return await toPem(certificate, keys);
    },
  };
}

function makeKeys(): Promise<KeyPair> {
  x509.cryptoProvider.set(globalThis.crypto);
  return crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function toPem(
  certificate: x509.X509Certificate,
  { privateKey }: KeyPair,
): Promise<CertificateAndKey> {
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', privateKey);
  return {
    cert: certificate.toString('pem'),
    key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'),
  };
}
