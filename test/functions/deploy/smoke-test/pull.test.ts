import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judgePull, toPullAdvice } from '../../../../functions/deploy/smoke-test/pull.ts';

function toPod(status: object): object {
  return { metadata: { name: 'probe' }, status };
}

function waiting(reason: string, message?: string): object {
  return toPod({
    conditions: [{ type: 'Ready', status: 'False', message: 'containers with unready status' }],
    containerStatuses: [
      { imageID: '', state: { waiting: { reason, ...(message !== undefined && { message }) } } },
    ],
  });
}

describe('judgePull', () => {
  const pulled = [
    { name: 'a container that runs', state: { running: { startedAt: 'now' } } },
    { name: 'one that has ended', state: { terminated: { exitCode: 1, reason: 'Error' } } },
    { name: 'one that ended and is kept back', state: { waiting: { reason: 'CrashLoopBackOff' } } },
    { name: 'one without a command', state: { waiting: { reason: 'CreateContainerError' } } },
    {
      name: 'one that may not be root',
      state: { waiting: { reason: 'CreateContainerConfigError', message: 'will run as root' } },
    },
    { name: 'one of another architecture', state: { waiting: { reason: 'RunContainerError' } } },
  ];
  for (const { name, state } of pulled) {
    it(`takes ${name} for pulled`, () => {
      assert.deepEqual(judgePull(toPod({ containerStatuses: [{ state }] })), { state: 'pulled' });
    });
  }

  it('says why an image is not pulled', () => {
    assert.deepEqual(judgePull(waiting('ErrImagePull', 'x509: unknown authority')), {
      state: 'failing',
      says: 'ErrImagePull: x509: unknown authority',
    });
    assert.deepEqual(judgePull(waiting('ImagePullBackOff')), {
      state: 'failing',
      says: 'ImagePullBackOff',
    });
  });

  it('waits for what has not begun, and knows why', () => {
    assert.equal(judgePull(waiting('ContainerCreating')).state, 'waiting');
    assert.deepEqual(judgePull(toPod({})), { state: 'waiting', says: 'nothing' });
    assert.deepEqual(judgePull({ metadata: {} }), { state: 'waiting', says: 'nothing' });
    const unschedulable = {
      conditions: [
        { type: 'PodScheduled', status: 'False', message: '0/1 nodes are available: 1 cpu' },
      ],
    };
    assert.deepEqual(judgePull(toPod(unschedulable)), {
      state: 'waiting',
      says: '0/1 nodes are available: 1 cpu',
    });
  });
});

describe('toPullAdvice', () => {
  // Words of containerd 1.6 and 2, and of cri-dockerd.
  const cases = [
    {
      says: 'failed to do request: Head "https://r.test/v2/a/manifests/1": tls: failed to verify certificate: x509: certificate signed by unknown authority',
      expected: /do not trust the certificate of r\.test/,
    },
    {
      says: 'failed to do request: Head "https://r.test/v2/": http: server gave HTTP response to HTTPS client',
      expected: /r\.test speaks plain http/,
    },
    {
      says: 'dial tcp: lookup r.test on 10.0.0.2:53: no such host',
      expected: /do not find or reach r\.test/,
    },
    {
      says: 'dial tcp 10.1.1.1:443: connect: connection refused',
      expected: /do not find or reach r\.test/,
    },
    {
      says: 'failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized',
      expected: /set BACKUP_PULL_SECRET/,
    },
    {
      says: 'pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed',
      expected: /set BACKUP_PULL_SECRET/,
    },
    { says: 'r.test/a:1: not found', expected: /every node can pull from r\.test/ },
  ];
  for (const { says, expected } of cases) {
    it(`knows what to do about ${says}`, () => {
      assert.match(toPullAdvice(says, 'r.test', undefined), expected);
    });
  }

  it('blames the pull secret where there is one', () => {
    assert.match(toPullAdvice('403 Forbidden', 'r.test', 'backup-pull'), /pull secret backup-pull/);
  });
});
