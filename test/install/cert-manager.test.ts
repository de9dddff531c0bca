import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toCertManagerObjects, toInjectionAnnotation } from '../../lib/install/cert-manager.ts';
import { parseSettings } from '../../lib/install/settings.ts';

const settings = parseSettings({ NAME: 'cloner', NAMESPACE: 'tools', WIRING: 'direct' });

describe('toCertManagerObjects', () => {
  it('cert-manager issues the certificate of the webhook from a CA of its own, into the Secret of gen', () => {
    assert.deepEqual(toCertManagerObjects(settings), [
      {
        apiVersion: 'cert-manager.io/v1',
        kind: 'Issuer',
        metadata: { name: 'cloner-root', namespace: 'tools' },
        spec: { selfSigned: {} },
      },
      {
        apiVersion: 'cert-manager.io/v1',
        kind: 'Certificate',
        metadata: { name: 'cloner-ca', namespace: 'tools' },
        spec: {
          isCA: true,
          commonName: 'image-cloner CA',
          secretName: 'cloner-ca',
          duration: '87600h',
          privateKey: { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Never' },
          issuerRef: { name: 'cloner-root', kind: 'Issuer', group: 'cert-manager.io' },
        },
      },
      {
        apiVersion: 'cert-manager.io/v1',
        kind: 'Issuer',
        metadata: { name: 'cloner-ca', namespace: 'tools' },
        spec: { ca: { secretName: 'cloner-ca' } },
      },
      {
        apiVersion: 'cert-manager.io/v1',
        kind: 'Certificate',
        metadata: { name: 'cloner-tls', namespace: 'tools' },
        spec: {
          secretName: 'cloner-tls',
          secretTemplate: { labels: { 'networking.internal.knative.dev/certificate-uid': 'any' } },
          dnsNames: ['cloner-webhook.tools.svc', 'cloner-webhook.tools.svc.cluster.local'],
          duration: '8760h',
          renewBefore: '720h',
          privateKey: { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always' },
          usages: ['digital signature', 'server auth'],
          issuerRef: { name: 'cloner-ca', kind: 'Issuer', group: 'cert-manager.io' },
        },
      },
    ]);
  });

  it('cert-manager writes the CA of that certificate into the webhook configuration', () => {
    assert.deepEqual(toInjectionAnnotation(settings), {
      'cert-manager.io/inject-ca-from': 'tools/cloner-tls',
    });
  });
});
