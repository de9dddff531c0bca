import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createEcrIdentity } from '../../../lib/adapters/cloud/ecr.ts';
import type { CloneError } from '../../../lib/errors.ts';
import {
  createFakeAws,
  ecrDomain,
  ecrError,
  type FakeAws,
  region,
  stsError,
} from '../../support/clouds/aws.ts';
import {
  type CloudResponse,
  type CloudServer,
  serveCloud,
  setEnv,
} from '../../support/clouds/server.ts';

/** The SDK of AWS against servers that implement the documented endpoints. */
describe('createEcrIdentity', () => {
  let dir: string;
  let aws: FakeAws;
  let server: CloudServer;
  let restore: () => void;
  const { signal } = new AbortController();
  const identity = createEcrIdentity({ proxies: undefined });
  /** Variables that could name another identity. */
  const none = {
    AWS_ACCESS_KEY_ID: undefined,
    AWS_PROFILE: undefined,
    AWS_CONTAINER_CREDENTIALS_FULL_URI: undefined,
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: undefined,
    AWS_ROLE_ARN: undefined,
    AWS_WEB_IDENTITY_TOKEN_FILE: undefined,
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/nowhere/config',
    AWS_SHARED_CREDENTIALS_FILE: '/nowhere/credentials',
  };

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'aws-'));
    await writeFile(join(dir, 'token'), 'web-token');
    aws = createFakeAws();
    server = await serveCloud(aws.answer);
    restore = setEnv({
      ...none,
      AWS_REGION: region,
      AWS_ENDPOINT_URL_STS: server.url,
      AWS_ENDPOINT_URL_ECR: server.url,
      AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/cloner',
      AWS_WEB_IDENTITY_TOKEN_FILE: join(dir, 'token'),
    });
  });
  afterEach(async () => {
    restore();
    await server.close();
    await rm(dir, { recursive: true });
  });

  it('gets a token of Amazon ECR with the web identity of the pod', async () => {
    const { credentials, lifetimeMs } = await identity.issue(ecrDomain, signal);

    assert.deepEqual(credentials, { username: 'AWS', password: 'ecr-password' });
    assert.ok(lifetimeMs > 11.9 * 3_600_000 && lifetimeMs <= 12 * 3_600_000);
    assert.deepEqual(aws.calls, ['AssumeRoleWithWebIdentity', 'GetAuthorizationToken']);
  });

  it('gets a token of Amazon ECR with EKS Pod Identity', async () => {
    await writeFile(join(dir, 'pod-token'), 'pod-token');
    const restorePodIdentity = setEnv({
      AWS_ROLE_ARN: undefined,
      AWS_WEB_IDENTITY_TOKEN_FILE: undefined,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${server.url}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: join(dir, 'pod-token'),
    });

    const { credentials } = await identity
      .issue(ecrDomain, signal)
      .finally(() => restorePodIdentity());

    assert.deepEqual(credentials, { username: 'AWS', password: 'ecr-password' });
    assert.deepEqual(aws.calls, ['PodIdentity', 'GetAuthorizationToken']);
  });

  it('gets a token of Amazon ECR although the clock of this machine is two hours slow', async () => {
    aws.skewMs = 2 * 3_600_000;
    aws.expiresAt = Date.now() + 14 * 3_600_000;

    const { lifetimeMs } = await identity.issue(ecrDomain, signal);

    assert.equal(lifetimeMs, 12 * 3_600_000);
  });

  it('uses a token of Amazon ECR for a minute although the clock of this machine is a day fast', async () => {
    aws.expiresAt = Date.now() - 12 * 3_600_000;

    const { lifetimeMs } = await identity.issue(ecrDomain, signal);

    assert.equal(lifetimeMs, 60_000);
  });

  it('repeats a call that AWS throttles', async () => {
    aws.faults.set('GetAuthorizationToken', [ecrError('ThrottlingException', 'Rate exceeded')]);

    const { credentials } = await identity.issue(ecrDomain, signal);

    assert.equal(credentials.password, 'ecr-password');
    assert.deepEqual(aws.calls.slice(1), ['GetAuthorizationToken', 'GetAuthorizationToken']);
  });

  const denials: readonly (readonly [call: string, fault: CloudResponse, message: string])[] = [
    [
      'AssumeRoleWithWebIdentity',
      stsError('ExpiredTokenException', 'Token expired'),
      'the web identity token of the pod has expired: check that the kubelet renews its projected token (ExpiredTokenException)',
    ],
    [
      'AssumeRoleWithWebIdentity',
      stsError('AccessDenied', 'Not authorized', 403),
      "AWS refused sts:AssumeRoleWithWebIdentity: the role's trust policy must name the ServiceAccount image-cloner (AccessDenied)",
    ],
    [
      'AssumeRoleWithWebIdentity',
      stsError('InvalidIdentityToken', 'No OpenIDConnect provider found'),
      "AWS does not trust the web identity token of the pod: register the cluster's OIDC provider in IAM (InvalidIdentityTokenException)",
    ],
    [
      'GetAuthorizationToken',
      ecrError('AccessDeniedException', 'User: x is not authorized'),
      'AWS refused ecr:GetAuthorizationToken: allow it in the IAM policy of the role (AccessDeniedException)',
    ],
  ];
  for (const [call, fault, message] of denials) {
    it(`says what to do about ${message.replace(/^.*\((.*)\)$/, '$1')} of ${call}`, async () => {
      aws.faults.set(call, [fault, fault, fault, fault]);

      await assert.rejects(identity.issue(ecrDomain, signal), {
        name: 'IdentityError',
        message,
        isTransient: false,
      });
    });
  }

  it('says that there is no AWS identity', async () => {
    const restoreNone = setEnv(none);

    const issued = identity.issue(ecrDomain, signal).finally(() => restoreNone());

    await assert.rejects(issued, {
      name: 'IdentityError',
      message:
        'no AWS identity was found: give the ServiceAccount image-cloner a role (IRSA or EKS Pod Identity) (CredentialsProviderError)',
      isTransient: false,
    });
  });

  it('calls an outage of AWS transient', async () => {
    const outage = { status: 503, body: 'down' };
    aws.faults.set('GetAuthorizationToken', [outage, outage, outage, outage]);

    await assert.rejects(identity.issue(ecrDomain, signal), {
      name: 'IdentityError',
      isTransient: true,
    });
  });

  it('keeps nothing of a response of AWS but one line of text', async () => {
    const secret = 'x'.repeat(100);
    aws.faults.set('GetAuthorizationToken', [ecrError('AccessDeniedException', `no\n${secret}`)]);

    const error: unknown = await identity
      .issue(ecrDomain, signal)
      .catch((reason: unknown) => reason);

    assert.ok(error instanceof Error && error.cause instanceof Error);
    assert.deepEqual(Object.keys(error.cause), []);
    assert.equal(error.cause.message, 'AccessDeniedException: no …');
  });

  describe('createRepository', () => {
    const repository = { domain: ecrDomain, path: 'backups/docker.io/library/nginx' };

    it('creates a repository of Amazon ECR with tags that can move and the tag of its creator', async () => {
      await identity.createRepository(repository, signal);

      assert.deepEqual(aws.bodies, [
        {
          registryId: '123456789012',
          repositoryName: 'backups/docker.io/library/nginx',
          imageTagMutability: 'MUTABLE',
          tags: [{ Key: 'app.kubernetes.io/managed-by', Value: 'image-cloner' }],
        },
      ]);
    });

    it('ignores that another replica created the repository of Amazon ECR first', async () => {
      aws.repositories.add(repository.path);

      await identity.createRepository(repository, signal);
    });

    const missing = `the backup registry ${ecrDomain} has no repository backups/docker.io/library/nginx`;
    const failures: readonly (readonly [
      fault: string,
      code: CloneError['code'],
      message: string,
    ])[] = [
      [
        'AccessDeniedException',
        'BACKUP_DENIED',
        `${missing}, and the identity may not create it: allow ecr:CreateRepository and ecr:TagResource, or create it`,
      ],
      [
        'InvalidParameterException',
        'BACKUP_REFUSED',
        `${missing}, and Amazon ECR does not accept that name: use NAMING=nested, or list the image in IGNORE_IMAGES`,
      ],
      [
        'LimitExceededException',
        'BACKUP_REFUSED',
        `${missing}, and account 123456789012 may have no more repositories in eu-central-1: raise the quota of Amazon ECR`,
      ],
      [
        'ServerException',
        'BACKUP_UNAVAILABLE',
        `${missing}, and it cannot be created: AWS gave no answer for Amazon ECR (ServerException)`,
      ],
    ];
    for (const [fault, code, message] of failures) {
      it(`rejects with ${code} if CreateRepository answers ${fault}`, async () => {
        const answer = ecrError(fault, 'x');
        aws.faults.set('CreateRepository', [answer, answer, answer, answer]);

        await assert.rejects(identity.createRepository(repository, signal), {
          name: 'CloneError',
          code,
          message,
        });
      });
    }

    it('names both accounts if the identity belongs to another one than the registry', async () => {
      aws.account = '999999999999';
      await identity.issue(ecrDomain, signal);
      aws.faults.set('CreateRepository', [ecrError('AccessDeniedException', 'x')]);

      await assert.rejects(identity.createRepository(repository, signal), {
        code: 'BACKUP_DENIED',
        message: `${missing}, and the identity of account 999999999999 may not create it in account 123456789012: set REGISTRY to a registry of account 999999999999, or create it`,
      });
    });
  });
});
