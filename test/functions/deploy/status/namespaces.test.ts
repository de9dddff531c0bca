import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { anyObject, parseItems } from '../../../../functions/deploy/objects.ts';
import { findMisspelt, toReason } from '../../../../functions/deploy/status/namespaces.ts';

describe('findMisspelt', () => {
  it('finds namespaces whose label value no webhook selects, with the command that corrects it', () => {
    const items = ['cloner', 'true', 'disabled', 'other'].map((value) => ({
      metadata: { name: `ns-${value}`, labels: { 'image-cloner': value } },
    }));

    const rows = findMisspelt(
      parseItems(anyObject, { items }),
      new Set(['cloner', 'disabled', 'other']),
    );

    assert.deepEqual(rows, [
      {
        what: 'namespace ns-true',
        isGood: false,
        text: 'no webhook has the label image-cloner=true: kubectl label namespace ns-true --overwrite image-cloner=cloner',
      },
    ]);
  });
});

describe('toReason', () => {
  const cases = [
    {
      kubectl:
        'Error from server (InternalError): error when creating "STDIN": Internal error occurred: failed calling webhook "a.b.svc": no endpoints',
      reason: 'failed calling webhook "a.b.svc": no endpoints',
    },
    {
      kubectl: 'Error from server: admission webhook "a.b.svc" denied the request: no',
      reason: 'admission webhook "a.b.svc" denied the request: no',
    },
  ];
  for (const { kubectl, reason } of cases) {
    it(`takes the reason from: ${kubectl}`, () => {
      assert.equal(toReason(kubectl), reason);
    });
  }
});
