import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toTlsSecret } from '../../lib/install/tls-secret.ts';

describe('toTlsSecret', () => {
  it('returns a kubernetes.io/tls Secret that a DomainMapping accepts', () => {
    const secret = toTlsSecret(
      { name: 'copier', namespace: 'tools' },
      { certificate: 'the certificate', key: 'the key', ca: 'the CA' },
    );

    assert.deepEqual(secret, {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: {
        name: 'copier-tls',
        namespace: 'tools',
        labels: { 'networking.internal.knative.dev/certificate-uid': 'any' },
      },
      data: { 'tls.crt': 'dGhlIGNlcnRpZmljYXRl', 'tls.key': 'dGhlIGtleQ==', 'ca.crt': 'dGhlIENB' },
    });
  });
});
