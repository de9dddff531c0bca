import { createPrivateKey, X509Certificate } from 'node:crypto';

export type { X509Certificate };

const pemBlocks = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificates of a PEM bundle, in order. What is not a certificate is left out. */
export function parseCertificates(pem: string): readonly X509Certificate[] {
  return (pem.match(pemBlocks) ?? []).flatMap((block) => {
    try {
      return new X509Certificate(block);
    } catch {
      return [];
    }
  });
}

/** Formats base64 of DER as PEM. */
export function toPem(der: string): string {
  const lines = der.match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** Whether one of `cas` signed the first certificate of a chain, directly or through the others. */
export function isTrusted(
  chain: readonly X509Certificate[],
  cas: readonly X509Certificate[],
): boolean {
  const trusted = [...cas];
  for (const certificate of chain.toReversed()) {
    if (trusted.some(({ publicKey }) => certificate.verify(publicKey))) trusted.push(certificate);
  }
  return chain.slice(0, 1).every((certificate) => trusted.includes(certificate));
}

/** Whether a private key in PEM belongs to the certificate. */
export function isKeyOf(key: string, certificate: X509Certificate): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}
