import type { CertificateChain } from './certificate.ts';
import type { InstallSettings } from './settings.ts';

/** A Secret of type `kubernetes.io/tls`. */
export interface TlsSecret {
  readonly apiVersion: 'v1';
  readonly kind: 'Secret';
  readonly type: 'kubernetes.io/tls';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly data: {
    readonly 'tls.crt': string;
    readonly 'tls.key': string;
    /** The CA, so that a lost webhook configuration can be made again. */
    readonly 'ca.crt': string;
  };
}

/** Returns the Secret `NAME-tls`, which the gateway or the pod reads in the namespace of the Knative Service. */
export function toTlsSecret(
  { name, namespace }: Pick<InstallSettings, 'name' | 'namespace'>,
  { certificate, key, ca }: Pick<CertificateChain, 'certificate' | 'key' | 'ca'>,
): TlsSecret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: {
      name: `${name}-tls`,
      namespace,
      // With ENABLE_SECRET_INFORMER_FILTERING_BY_CERT_UID, net-kourier watches only Secrets with this label.
      labels: { 'networking.internal.knative.dev/certificate-uid': 'any' },
    },
    data: { 'tls.crt': btoa(certificate), 'tls.key': btoa(key), 'ca.crt': btoa(ca) },
  };
}
