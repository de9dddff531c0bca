/** Keys of the Secret for a certificate, its key and its CA. */
export interface Names {
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
}

/** What the gateway or the pod presents. */
export const servedNames = { certificate: 'tls.crt', key: 'tls.key', ca: 'ca.crt' } as const;

/** What it will present. In the same Secret, so that one write replaces one by the other. */
export const nextNames = {
  certificate: 'next.crt',
  key: 'next.key',
  ca: 'next-ca.crt',
} as const;

/** Annotations of the Secret. */
export const annotation = {
  /** Since when the certificate in use and the CA bundles are as they are, and which these are. */
  since: 'image-cloner/unchanged-since',
  /** For people: what the last renewal found. */
  report: 'image-cloner/renewal',
} as const;
