import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readConfig } from '../../lib/config/config.ts';

describe('REGISTRY_AUTH', () => {
  const ecr = '123456789012.dkr.ecr.eu-central-1.amazonaws.com';
  const rows: readonly (readonly [
    what: string,
    env: Readonly<Record<string, string>>,
    problems: readonly string[],
  ])[] = [
    [
      'accepts ecr with a host of Amazon ECR, a namespace and NAMING=nested',
      {
        REGISTRY: ecr,
        REGISTRY_AUTH: 'ecr',
        REGISTRY_NAMESPACE: 'backups',
        NAMING: 'nested',
      },
      [],
    ],
    [
      'lists everything that ecr lacks at once',
      { REGISTRY: 'ghcr.io', REGISTRY_AUTH: 'ecr', REGISTRY_AUTH_DIR: '/auth' },
      [
        `REGISTRY must be a host of Amazon ECR, such as ${ecr}, with REGISTRY_AUTH=ecr`,
        'REGISTRY_NAMESPACE must be set with REGISTRY_AUTH=ecr: no username can replace it',
        'NAMING must be nested with REGISTRY_AUTH=ecr: Amazon ECR accepts no "__" in names',
        'REGISTRY_AUTH_DIR is not read with REGISTRY_AUTH=ecr: set REGISTRY_AUTH=file, or unset REGISTRY_AUTH_DIR',
      ],
    ],
    [
      'accepts gar with flat names',
      {
        REGISTRY: 'europe-west3-docker.pkg.dev',
        REGISTRY_AUTH: 'gar',
        REGISTRY_NAMESPACE: 'project/backups',
      },
      [],
    ],
    [
      'refuses gar for a host that only ends like one of Google',
      {
        REGISTRY: 'us-docker.pkg.dev.evil.test',
        REGISTRY_AUTH: 'gar',
        REGISTRY_NAMESPACE: 'project/backups',
      },
      [
        'REGISTRY must be a host of Google Artifact Registry, such as europe-west3-docker.pkg.dev, with REGISTRY_AUTH=gar',
      ],
    ],
    [
      'refuses acr without a namespace',
      { REGISTRY: 'acme.azurecr.io', REGISTRY_AUTH: 'acr' },
      ['REGISTRY_NAMESPACE must be set with REGISTRY_AUTH=acr: no username can replace it'],
    ],
    [
      'refuses none without a namespace',
      { REGISTRY: 'registry.test', REGISTRY_AUTH: 'none' },
      ['REGISTRY_NAMESPACE must be set with REGISTRY_AUTH=none: no username can replace it'],
    ],
    [
      'says nothing about a host that is invalid itself',
      { REGISTRY: 'https://ghcr.io', REGISTRY_AUTH: 'acr' },
      ['REGISTRY must be a host without a scheme, such as registry.example.com'],
    ],
  ];
  for (const [what, env, expected] of rows) {
    it(`REGISTRY_AUTH ${what}`, () => {
      assert.deepEqual(readConfig(env).problems, expected);
    });
  }
});
