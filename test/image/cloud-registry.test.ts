import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cloudOf, parseEcrHost } from '../../lib/image/cloud-registry.ts';

describe('cloudOf', () => {
  const hosts: readonly (readonly [host: string, cloud: string | undefined])[] = [
    ['123456789012.dkr.ecr.eu-central-1.amazonaws.com', 'ecr'],
    ['123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com', 'ecr'],
    ['123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn', 'ecr'],
    ['123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu', 'ecr'],
    ['123456789012.dkr-ecr.eu-west-1.on.aws', 'ecr'],
    ['12345678901.dkr.ecr.eu-central-1.amazonaws.com', undefined],
    ['x123456789012.dkr.ecr.eu-central-1.amazonaws.com', undefined],
    ['123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.test', undefined],
    ['123456789012.dkr.ecr.a.b.amazonaws.com', undefined],
    ['123456789012xdkr.ecr.eu-central-1.amazonaws.com', undefined],
    ['123456789012.dkr.ecr.eu-central-1.amazonaws.com:8443', undefined],
    ['public.ecr.aws', undefined],
    ['europe-west3-docker.pkg.dev', 'gar'],
    ['us-docker.pkg.dev', 'gar'],
    ['gcr.io', 'gar'],
    ['eu.gcr.io', 'gar'],
    ['evil-gcr.io', undefined],
    ['a.b.gcr.io', undefined],
    ['us-docker.pkg.dev.evil.test', undefined],
    ['us-docker-pkg.dev', undefined],
    ['a.us-docker.pkg.dev', undefined],
    ['acme.azurecr.io', 'acr'],
    ['acme-h4sh.azurecr.io', 'acr'],
    ['acme.azurecr.cn', 'acr'],
    ['acme.azurecr.us', 'acr'],
    ['azurecr.io', undefined],
    ['evil.test.azurecr.io', undefined],
    ['acme.azurecr.io.evil.test', undefined],
    ['acme.azurecrxio', undefined],
    ['docker.io', undefined],
    ['ghcr.io', undefined],
  ];
  for (const [host, cloud] of hosts) {
    it(`${host} belongs to ${cloud ?? 'no cloud'}`, () => {
      assert.equal(cloudOf(host), cloud);
    });
  }
});

describe('parseEcrHost', () => {
  it('reads account and region of a host of Amazon ECR', () => {
    assert.deepEqual(parseEcrHost('123456789012.dkr.ecr.eu-central-1.amazonaws.com'), {
      account: '123456789012',
      region: 'eu-central-1',
      isFips: false,
    });
  });

  it('reads the region of a FIPS host and of a dual-stack host of Amazon ECR', () => {
    const account = '123456789012';

    const fips = parseEcrHost(`${account}.dkr.ecr-fips.us-east-1.amazonaws.com`);
    const dualStack = parseEcrHost(`${account}.dkr-ecr-fips.us-east-1.on.aws`);

    assert.deepEqual(fips, { account, region: 'us-east-1', isFips: true });
    assert.deepEqual(dualStack, { account, region: 'us-east-1', isFips: true });
  });

  it('reads no account from other hosts', () => {
    assert.equal(parseEcrHost('acme.azurecr.io'), undefined);
  });
});
