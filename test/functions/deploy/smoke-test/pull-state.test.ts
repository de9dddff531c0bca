import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toPullAdvice, toPullState } from '../../../../functions/deploy/smoke-test/pull-state.ts';

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

describe('toPullState', () => {
  const pulled = [
    { name: 'a running container', state: { running: { startedAt: 'now' } } },
    { name: 'a terminated container', state: { terminated: { exitCode: 1, reason: 'Error' } } },
    { name: 'a container in CrashLoopBackOff', state: { waiting: { reason: 'CrashLoopBackOff' } } },
    {
      name: 'a container without a command',
      state: { waiting: { reason: 'CreateContainerError' } },
    },
    {
      name: 'a container that would run as root',
      state: { waiting: { reason: 'CreateContainerConfigError', message: 'will run as root' } },
    },
    {
      name: 'a container of another architecture',
      state: { waiting: { reason: 'RunContainerError' } },
    },
  ];
  for (const { name, state } of pulled) {
    it(`reports the pull of the smoke test as done for ${name}`, () => {
      assert.deepEqual(toPullState(toPod({ containerStatuses: [{ state }] })), { state: 'pulled' });
    });
  }

  it('reports a failed pull of the smoke test with its reason', () => {
    assert.deepEqual(toPullState(waiting('ErrImagePull', 'x509: unknown authority')), {
      state: 'failing',
      reason: 'ErrImagePull: x509: unknown authority',
    });
    assert.deepEqual(toPullState(waiting('ImagePullBackOff')), {
      state: 'failing',
      reason: 'ImagePullBackOff',
    });
  });

  it('reports a pod that has not started its pull as waiting, with the reason', () => {
    assert.equal(toPullState(waiting('ContainerCreating')).state, 'waiting');
    assert.deepEqual(toPullState(toPod({})), { state: 'waiting', reason: 'no reason was given' });
    assert.deepEqual(toPullState({ metadata: {} }), {
      state: 'waiting',
      reason: 'no reason was given',
    });
    const unschedulable = {
      conditions: [
        { type: 'PodScheduled', status: 'False', message: '0/1 nodes are available: 1 cpu' },
      ],
    };
    assert.deepEqual(toPullState(toPod(unschedulable)), {
      state: 'waiting',
      reason: '0/1 nodes are available: 1 cpu',
    });
  });
});

describe('toPullAdvice', () => {
  // Texts of containerd 1.6 and 2, and of cri-dockerd.
  const cases = [
    {
      reason:
        'failed to do request: Head "https://r.test/v2/a/manifests/1": tls: failed to verify certificate: x509: certificate signed by unknown authority',
      expected: /do not trust the certificate of r\.test/,
    },
    {
      reason:
        'failed to do request: Head "https://r.test/v2/": http: server gave HTTP response to HTTPS client',
      expected: /r\.test uses plain http/,
    },
    {
      reason: 'dial tcp: lookup r.test on 10.0.0.2:53: no such host',
      expected: /do not find or reach r\.test/,
    },
    {
      reason: 'dial tcp 10.1.1.1:443: connect: connection refused',
      expected: /do not find or reach r\.test/,
    },
    {
      reason:
        'failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized',
      expected: /set BACKUP_PULL_SECRET/,
    },
    {
      reason:
        'pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed',
      expected: /set BACKUP_PULL_SECRET/,
    },
    { reason: 'r.test/a:1: not found', expected: /every node can pull from r\.test/ },
  ];
  for (const { reason, expected } of cases) {
    it(`gives advice for the pull failure ${reason}`, () => {
      assert.match(toPullAdvice(reason, 'r.test', undefined), expected);
    });
  }

  it('names the pull secret when the backup rejects its credentials', () => {
    assert.match(toPullAdvice('403 Forbidden', 'r.test', 'backup-pull'), /pull secret backup-pull/);
  });
});
