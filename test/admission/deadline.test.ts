import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isClusterController } from '../../lib/admission/deadline.ts';

describe('isClusterController', () => {
  const cases = [
    ['system:kube-controller-manager', true],
    ['system:serviceaccount:kube-system:replicaset-controller', true],
    ['system:serviceaccount:knative-serving:controller', true],
    ['kubernetes-admin', false],
    ['system:serviceaccount:default:kube-system', false],
    ['system:serviceaccount:kube-system2:x', false],
    ['evil:system:serviceaccount:kube-system:x', false],
    ['', false],
  ] as const;
  for (const [username, expected] of cases) {
    it(`isClusterController is ${expected} for user ${JSON.stringify(username)}`, () => {
      assert.equal(isClusterController(username), expected);
    });
  }
});
