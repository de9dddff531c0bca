import { createPrivateKey, X509Certificate } from 'node:crypto';

/** Data of a Secret of type `kubernetes.io/tls`, in base64. */
export type TlsData = Readonly<Record<string, string>>;

/** What a certificate must be good for. */
export interface CertificateUse {
  /** The host that the API server calls. */
  readonly host: string;
  /** PEM. Empty: the API server trusts its system's CAs. */
  readonly ca: string;
  readonly now: Date;
}

/** Why the API server would refuse this certificate; `undefined` if it would not. */
export function findCertificateProblem(
  data: TlsData,
  { host, ca, now }: CertificateUse,
): string | undefined {
  const certificates = readCertificates(data['tls.crt'] ?? '');
  const [certificate] = certificates;
  if (certificate === undefined) return 'there is no certificate';
  if (certificate.checkHost(host) === undefined) return `the certificate is not for ${host}`;
  if (certificate.validToDate <= now) return `the certificate expired at ${certificate.validTo}`;
  if (!hasKey(certificate, data['tls.key'] ?? '')) {
    return 'the key does not belong to the certificate';
  }
  // A CA that does not match its certificate makes the API server reject every review.
  return isTrusted(certificates, ca) ? undefined : 'the certificate is not from the CA';
}

/** Whether a CA of the PEM bundle signed the first certificate, directly or through the others. */
export function isTrusted(certificates: readonly X509Certificate[], ca: string): boolean {
  if (ca === '') return true;
  const trusted = [...parseCertificates(ca)];
  for (const certificate of certificates.toReversed()) {
    if (trusted.some(({ publicKey }) => certificate.verify(publicKey))) trusted.push(certificate);
  }
  return certificates.slice(0, 1).every((certificate) => trusted.includes(certificate));
}

/** Parses a PEM bundle. Throws if a block is not a certificate. */
function parseCertificates(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  return (blocks ?? []).map((block) => new X509Certificate(block));
}

function readCertificates(base64: string): readonly X509Certificate[] {
  try {
    return parseCertificates(atob(base64));
  } catch {
    return [];
  }
}

function hasKey(certificate: X509Certificate, base64: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(atob(base64)));
  } catch {
    return false;
  }
}
