import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type CloudIdentity,
  findIdentityProblems,
  parseCloudIdentity,
} from '../../lib/install/cloud-identity.ts';

const role = 'arn:aws:iam::123456789012:role/team/image-cloner';
const account = 'image-cloner@project.iam.gserviceaccount.com';
const client = '0a1b2c3d-0000-4000-8000-000000000000';

describe('parseCloudIdentity', () => {
  const known: readonly (readonly [value: string, identity: CloudIdentity])[] = [
    [
      role,
      {
        kind: 'irsa',
        clouds: ['ecr'],
        annotation: { name: 'eks.amazonaws.com/role-arn', value: role },
      },
    ],
    [
      account,
      {
        kind: 'gke',
        clouds: ['gar'],
        annotation: { name: 'iam.gke.io/gcp-service-account', value: account },
      },
    ],
    [
      client,
      {
        kind: 'azure',
        clouds: ['acr'],
        annotation: { name: 'azure.workload.identity/client-id', value: client },
      },
    ],
    ['pod-identity', { kind: 'pod-identity', clouds: ['ecr'] }],
    ['gke', { kind: 'gke', clouds: ['gar'] }],
    ['node-role', { kind: 'node-role', clouds: ['ecr', 'gar', 'acr'] }],
  ];
  for (const [value, identity] of known) {
    it(`reads the cloud identity ${value}`, () => {
      assert.deepEqual(parseCloudIdentity(value), identity);
    });
  }

  for (const value of ['', 'irsa', 'arn:aws:iam::1:role/x', `${account}.evil.test`, 'me@x.test']) {
    it(`refuses the cloud identity ${JSON.stringify(value)}`, () => {
      assert.equal(parseCloudIdentity(value), undefined);
    });
  }
});

describe('findIdentityProblems', () => {
  const find = (values: readonly string[], used: readonly ('ecr' | 'gar' | 'acr')[]) =>
    findIdentityProblems(
      values.map(parseCloudIdentity).filter((identity) => identity !== undefined),
      used,
    );

  it('accepts one cloud identity for each cloud', () => {
    assert.deepEqual(find([role, account], ['ecr', 'gar']), []);
    assert.deepEqual(find([], []), []);
  });

  it('lists each cloud without an identity, with what can be set', () => {
    assert.deepEqual(find([], ['ecr', 'gar', 'acr']), [
      'CLOUD_IDENTITY must have one entry for ecr: the ARN of a role (IRSA) or pod-identity, or as the last resort node-role',
      'CLOUD_IDENTITY must have one entry for gar: gke or the e-mail address of a Google service account, or as the last resort node-role',
      'CLOUD_IDENTITY must have one entry for acr: the client ID of an Azure identity, or as the last resort node-role',
    ]);
  });

  it('refuses two identities for one cloud, and one that no setting uses', () => {
    assert.deepEqual(find([role, 'pod-identity', client], ['ecr']), [
      'CLOUD_IDENTITY must have one entry for ecr, not 2: the ARN of a role (IRSA) or pod-identity, or as the last resort node-role',
      'CLOUD_IDENTITY has an entry (azure) that neither REGISTRY_AUTH nor SOURCE_CLOUD_AUTH uses',
    ]);
  });
});
