import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CheckSource, createSourceCheck } from '../../lib/cloner/source.ts';
import {
  CloneError,
  type Credentials,
  type ImageCloner,
  type WorkloadSecrets,
} from '../../lib/index.ts';

const image = { domain: 'reg.test', path: 'team/app', tag: '1' };
const { signal } = new AbortController();
const ask = { budgetMs: 9_000, hasBackup: false, signal };

type Resolve = ImageCloner['resolve'];

function createCheck(
  resolve: Resolve,
  options: {
    readonly keyring?: readonly Credentials[];
    readonly workloadSecrets?: WorkloadSecrets;
    readonly now?: () => number;
  } = {},
): CheckSource {
  const { keyring = [], now = () => 0 } = options;
  return createSourceCheck({
    cloner: { keepsDigest: true, resolve, copy: () => assert.fail('a check copies nothing') },
    credentials: { credentialsFor: () => Promise.resolve(keyring) },
    workloadSecrets: options.workloadSecrets,
    now,
  });
}

const denied = (): never => {
  throw new CloneError('SOURCE_DENIED', 'denied');
};
const hangs: Resolve = () => new Promise(() => undefined);

describe('createSourceCheck', () => {
  const keyring = ['a', 'b'].map((username) => ({ username, password: 'p' }));

  it('tries each credential in its order and nobody’s at last', async () => {
    const tried: (string | undefined)[] = [];
    const check = createCheck(
      async (_, { credentials }) => {
        tried.push(credentials?.username);
        return credentials === undefined ? { digest: 'sha256:d', isIndex: false } : denied();
      },
      { keyring },
    );

    const found = await check(image, ask);

    assert.deepEqual(tried, ['a', 'b', undefined]);
    assert.deepEqual(found, {
      digest: 'sha256:d',
      isIndex: false,
      access: { side: 'source', credentials: undefined },
      openedBy: 'anybody',
    });
  });

  it('stops at the credential that works, and says which', async () => {
    const check = createCheck(
      async (_, { credentials }) =>
        credentials?.username === 'b' ? { digest: 'sha256:d', isIndex: false } : denied(),
      { keyring },
    );

    const { access } = await check(image, ask);

    assert.equal(access.credentials?.username, 'b');
  });

  it('calls an image missing that somebody was let in to see was not there', async () => {
    const check = createCheck(
      async (_, { credentials }) => (credentials === undefined ? denied() : undefined),
      { keyring },
    );

    await assert.rejects(check(image, ask), {
      code: 'SOURCE_NOT_FOUND',
      message: 'reg.test/team/app:1 does not exist on reg.test',
    });
  });

  it('reports the denial where nobody was let in', async () => {
    await assert.rejects(createCheck(async () => denied(), { keyring })(image, ask), {
      code: 'SOURCE_DENIED',
    });
  });

  const patience = [
    {
      what: 'the whole budget where there is no backup',
      hasBackup: false,
      ms: 9_000,
      shown: '9 s',
    },
    { what: 'two seconds where there is one', hasBackup: true, ms: 2_000, shown: '2 s' },
  ];
  for (const { what, hasBackup, ms, shown } of patience) {
    it(`gives a host that hangs ${what}`, async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const answer = createCheck(hangs)(image, { ...ask, hasBackup });
      let isSettled = false;
      answer
        .catch(() => undefined)
        .finally(() => {
          isSettled = true;
        });

      t.mock.timers.tick(ms - 1);
      await Promise.resolve();
      assert.equal(isSettled, false);
      t.mock.timers.tick(1);

      await assert.rejects(answer, {
        code: 'SOURCE_UNAVAILABLE',
        message: `reg.test did not say within ${shown} whether reg.test/team/app:1 exists`,
      });
    });
  }

  const outages = ['SOURCE_UNAVAILABLE', 'SOURCE_RATE_LIMITED'] as const;
  for (const code of outages) {
    it(`has less patience for a while after ${code}, and more again later`, async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      let time = 0;
      let isDown = true;
      const check = createCheck(
        (...args) => (isDown ? Promise.reject(new CloneError(code, 'down')) : hangs(...args)),
        { now: () => time },
      );
      await assert.rejects(check(image, ask), { code });
      isDown = false;

      const impatient = check(image, { ...ask, hasBackup: true });
      t.mock.timers.tick(250);
      await assert.rejects(impatient, { message: /within 0\.25 s/ });

      time = 60_001;
      const patient = check(image, { ...ask, hasBackup: true });
      t.mock.timers.tick(2_000);
      await assert.rejects(patient, { message: /within 2 s/ });
    });
  }

  it('trusts a host again that has answered', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const answers: Resolve[] = [
      () => Promise.reject(new CloneError('SOURCE_UNAVAILABLE', 'down')),
      async () => ({ digest: 'sha256:d', isIndex: false }),
      hangs,
    ];
    const check = createCheck((...args) => (answers.shift() ?? hangs)(...args));
    await assert.rejects(check(image, ask), { code: 'SOURCE_UNAVAILABLE' });
    await check(image, ask);

    const third = check(image, { ...ask, hasBackup: true });
    t.mock.timers.tick(2_000);

    await assert.rejects(third, { message: /within 2 s/ });
  });

  describe('with the pull secrets of a workload', () => {
    const pod = { namespace: 'shop', names: ['pull'] };

    function createSecrets(): WorkloadSecrets & { readonly forgotten: readonly string[] } {
      const forgotten: string[] = [];
      const unused = (): never => assert.fail('not asked here');
      return {
        forgotten,
        keyring: async (of) => {
          assert.deepEqual(of, pod);
          const find = (): readonly Credentials[] => [{ username: 'own', password: 'p' }];
          return { keyring: { find }, warnings: ['run "just pull-secret shop"'] };
        },
        forget: (namespace) => forgotten.push(namespace),
        serviceAccountSecrets: unused,
        hasSecret: unused,
      };
    }

    it('tries them first, and SOURCE_AUTH_FILE after them', async () => {
      const tried: (string | undefined)[] = [];
      const check = createCheck(
        async (_, { credentials }) => {
          tried.push(credentials?.username);
          return credentials === undefined ? { digest: 'sha256:d', isIndex: false } : denied();
        },
        { keyring, workloadSecrets: createSecrets() },
      );

      await check(image, { ...ask, pod });

      assert.deepEqual(tried, ['own', 'a', 'b', undefined]);
    });

    it('says why there were no better ones only when nothing opened the image', async () => {
      const workloadSecrets = createSecrets();
      const check = createCheck(async () => denied(), { workloadSecrets });

      await assert.rejects(check(image, { ...ask, pod }), {
        code: 'SOURCE_DENIED',
        message: 'denied; run "just pull-secret shop"',
      });
      assert.deepEqual(workloadSecrets.forgotten, ['shop']);
    });

    it('asks the cluster for nothing where there is no workload', async () => {
      const check = createCheck(async () => ({ digest: 'sha256:d', isIndex: false }), {
        workloadSecrets: { ...createSecrets(), keyring: () => assert.fail('asked') },
      });

      assert.equal((await check(image, ask)).digest, 'sha256:d');
    });
  });
});
