import type { CertificateChain } from './certificate.ts';
import type { InstallSettings } from './settings.ts';

/** A Secret of the type kubernetes.io/tls. */
export interface TlsSecret {
  readonly apiVersion: 'v1';
  readonly kind: 'Secret';
  readonly type: 'kubernetes.io/tls';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly data: { readonly 'tls.crt': string; readonly 'tls.key': string };
}

/** The server's certificate and key where the gateway (or the pod) finds them: `NAME-tls`, beside the Knative Service. */
export function toTlsSecret(
  { name, namespace }: Pick<InstallSettings, 'name' | 'namespace'>,
  { certificate, key }: Pick<CertificateChain, 'certificate' | 'key'>,
): TlsSecret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: {
      name: `${name}-tls`,
      namespace,
      // net-kourier sees no other Secrets where ENABLE_SECRET_INFORMER_FILTERING_BY_CERT_UID is on.
      labels: { 'networking.internal.knative.dev/certificate-uid': 'any' },
    },
    data: { 'tls.crt': btoa(certificate), 'tls.key': btoa(key) },
  };
}
