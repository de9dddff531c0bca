import type { InstallSettings } from './settings.ts';
import { toTlsSecret } from './tls-secret.ts';

/** An object of `cert-manager.io/v1`. */
export interface CertManagerObject {
  readonly apiVersion: 'cert-manager.io/v1';
  readonly kind: 'Issuer' | 'Certificate';
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: object;
}

const apiVersion = 'cert-manager.io/v1';
const privateKey = { algorithm: 'ECDSA', size: 256 };

/**
 * With `CERTIFICATES=cert-manager`: a CA that signs itself, and the certificate of the webhook that it signs, in the Secret
 * `NAME-tls`. The same lifetimes as those of `createCertificateChain`.
 */
export function toCertManagerObjects({
  name,
  namespace,
  hosts,
}: Pick<InstallSettings, 'name' | 'namespace' | 'hosts'>): readonly CertManagerObject[] {
  const tls = toTlsSecret({ name, namespace }, { certificate: '', key: '', ca: '' });
  const [root, ca, certificate] = [`${name}-root`, `${name}-ca`, tls.metadata.name];
  const toObject = (
    kind: CertManagerObject['kind'],
    object: string,
    spec: object,
  ): CertManagerObject => ({ apiVersion, kind, metadata: { name: object, namespace }, spec });
  return [
    toObject('Issuer', root, { selfSigned: {} }),
    toObject('Certificate', ca, {
      isCA: true,
      commonName: 'image-cloner CA',
      secretName: ca,
      duration: '87600h',
      // A renewed CA with the same key and name verifies old and new certificates, so no review is refused in between.
      privateKey: { ...privateKey, rotationPolicy: 'Never' },
      issuerRef: toIssuerRef(root),
    }),
    toObject('Issuer', ca, { ca: { secretName: ca } }),
    toObject('Certificate', certificate, {
      secretName: certificate,
      secretTemplate: { labels: tls.metadata.labels },
      dnsNames: hosts,
      duration: '8760h',
      renewBefore: '720h',
      privateKey: { ...privateKey, rotationPolicy: 'Always' },
      usages: ['digital signature', 'server auth'],
      issuerRef: toIssuerRef(ca),
    }),
  ];
}

function toIssuerRef(name: string): object {
  return { name, kind: 'Issuer', group: 'cert-manager.io' };
}

/** Of the webhook configuration: makes cert-manager write the CA of this Certificate into every `caBundle`. */
export const injectionAnnotation = 'cert-manager.io/inject-ca-from';

export function toInjectionAnnotation({
  name,
  namespace,
}: Pick<InstallSettings, 'name' | 'namespace'>): Readonly<Record<string, string>> {
  return { [injectionAnnotation]: `${namespace}/${name}-tls` };
}
