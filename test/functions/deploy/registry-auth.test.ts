import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chooseRegistryAuth, findCloudProblems } from '../../../functions/deploy/registry-auth.ts';
import { parseDeployEnv } from '../../support/deploy-settings.ts';

const ecr = '123456789012.dkr.ecr.eu-central-1.amazonaws.com';

describe('chooseRegistryAuth', () => {
  const auto = { configured: 'auto', recorded: '', hasSecret: false, domain: ecr } as const;
  const rows: readonly (readonly [
    what: string,
    choice: Parameters<typeof chooseRegistryAuth>[0],
    auth: string | undefined,
  ])[] = [
    ['keeps an explicit value', { ...auto, configured: 'none', recorded: 'ecr' }, 'none'],
    ['takes the Secret where it exists', { ...auto, hasSecret: true }, 'file'],
    ['takes the cloud of the host without a Secret', auto, 'ecr'],
    ['keeps file although the Secret has vanished', { ...auto, recorded: 'file' }, 'file'],
    [
      'keeps a cloud although a Secret was created',
      { ...auto, recorded: 'ecr', hasSecret: true },
      'ecr',
    ],
    ['forgets the cloud of another registry', { ...auto, recorded: 'acr' }, 'ecr'],
    ['ignores a record that it does not know', { ...auto, recorded: 'x' }, 'ecr'],
    ['finds nothing for another host without a Secret', { ...auto, domain: 'ghcr.io' }, undefined],
  ];
  for (const [what, choice, auth] of rows) {
    it(`just deploy with REGISTRY_AUTH ${what}`, () => {
      assert.equal(chooseRegistryAuth(choice), auth);
    });
  }
});

describe('findCloudProblems', () => {
  const IMAGE = 'registry.example.com/image-cloner:v1';

  it('just deploy lists what the resolved identity lacks', () => {
    const settings = parseDeployEnv({ IMAGE, REGISTRY: ecr, SOURCE_CLOUD_AUTH: 'gar' });

    assert.deepEqual(findCloudProblems({ ...settings, registryAuth: 'ecr' }), [
      'REGISTRY_NAMESPACE must be set with REGISTRY_AUTH=ecr: no username can replace it',
      'NAMING must be nested with REGISTRY_AUTH=ecr: Amazon ECR accepts no "__" in names',
      'CLOUD_IDENTITY must have one entry for ecr: the ARN of a role (IRSA) or pod-identity, or as the last resort node-role',
      'CLOUD_IDENTITY must have one entry for gar: gke or the e-mail address of a Google service account, or as the last resort node-role',
    ]);
  });

  it('just deploy needs no cloud identity for a password', () => {
    assert.deepEqual(findCloudProblems(parseDeployEnv({ IMAGE })), []);
  });
});
