import {
  isKeyOf,
  isTrusted as isSignedBy,
  parseCertificates,
  type X509Certificate,
} from '../../../lib/util/x509.ts';

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
  const certificates = parseCertificates(fromBase64(data['tls.crt']));
  const [certificate] = certificates;
  if (certificate === undefined) return 'there is no certificate';
  if (certificate.checkHost(host) === undefined) return `the certificate is not for ${host}`;
  if (certificate.validToDate <= now) return `the certificate expired at ${certificate.validTo}`;
  if (!isKeyOf(fromBase64(data['tls.key']), certificate)) {
    return 'the key does not belong to the certificate';
  }
  // A CA that does not match its certificate makes the API server reject every review.
  return isTrusted(certificates, ca) ? undefined : 'the certificate is not from the CA';
}

/** Whether a CA of the PEM bundle signed the first certificate, directly or through the others. */
export function isTrusted(certificates: readonly X509Certificate[], ca: string): boolean {
  return ca === '' || isSignedBy(certificates, parseCertificates(ca));
}

/** Ignores what is not base64, where `atob` throws. */
function fromBase64(base64 = ''): string {
  return Buffer.from(base64, 'base64').toString('latin1');
}
