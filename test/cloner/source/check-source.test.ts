import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CheckSource, createCheckSource } from '../../../lib/cloner/source/check-source.ts';
import {
  CloneError,
  type Credentials,
  type ImageCloner,
  type WorkloadSecrets,
} from '../../../lib/index.ts';

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
  return createCheckSource({
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

/** Lets everything run that can run without the outside. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}

describe('createCheckSource', () => {
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
      openedBy: 'anonymous',
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
      budgetMs: 9_000,
      ms: 9_000,
      shown: '9 s',
    },
    {
      what: 'two seconds where there is one',
      hasBackup: true,
      budgetMs: 9_000,
      ms: 2_000,
      shown: '2 s',
    },
    {
      what: 'half of what is left where that is less, since the backup has to be asked once more',
      hasBackup: true,
      budgetMs: 1_600,
      ms: 800,
      shown: '0.80 s',
    },
  ];
  for (const { what, hasBackup, budgetMs, ms, shown } of patience) {
    it(`gives a host that hangs ${what}`, async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const answer = createCheck(hangs)(image, { ...ask, budgetMs, hasBackup });
      let isSettled = false;
      answer
        .catch(() => undefined)
        .finally(() => {
          isSettled = true;
        });

      await settle();
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

  const other = { ...image, path: 'team/other' };
  const down = (): never => {
    throw new CloneError('SOURCE_UNAVAILABLE', 'connection refused');
  };

  it('has less patience for a while after two images failed, and more again later', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let time = 0;
    let isDown = true;
    const check = createCheck((...args) => (isDown ? down() : hangs(...args)), {
      now: () => time,
    });
    await assert.rejects(check(image, ask), { code: 'SOURCE_UNAVAILABLE' });
    await assert.rejects(check(other, ask), { code: 'SOURCE_UNAVAILABLE' });
    isDown = false;

    const impatient = check(image, { ...ask, hasBackup: true });
    await settle();
    t.mock.timers.tick(250);
    await assert.rejects(impatient, { message: /within 0\.25 s/ });

    time = 60_001;
    const patient = check(image, { ...ask, hasBackup: true });
    await settle();
    t.mock.timers.tick(2_000);
    await assert.rejects(patient, { message: /within 2 s/ });
  });

  it('blames no host for one image that it cannot serve', async () => {
    const asked: string[] = [];
    const check = createCheck(async ({ path }) => {
      asked.push(path);
      return path === image.path ? down() : { digest: 'sha256:d', isIndex: false };
    });
    for (let i = 0; i < 3; i += 1) await assert.rejects(check(image, ask));

    const found = await check(other, { ...ask, isInteractive: false });

    assert.equal(found.digest, 'sha256:d');
    assert.equal(asked.length, 4);
  });

  it('trusts a host again that has answered', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const answers: Resolve[] = [
      async () => down(),
      async () => down(),
      async () => ({ digest: 'sha256:d', isIndex: false }),
      hangs,
    ];
    const check = createCheck((...args) => (answers.shift() ?? hangs)(...args));
    await assert.rejects(check(image, ask), { code: 'SOURCE_UNAVAILABLE' });
    await assert.rejects(check(other, ask), { code: 'SOURCE_UNAVAILABLE' });
    await check(image, ask);

    const fourth = check(image, { ...ask, hasBackup: true });
    await settle();
    t.mock.timers.tick(2_000);

    await assert.rejects(fourth, { message: /within 2 s/ });
  });

  it('asks a host that is down once at a time, and tells controllers when it is asked again', async () => {
    let time = 0;
    let asked = 0;
    const check = createCheck(
      async () => {
        asked += 1;
        return down();
      },
      { now: () => time },
    );
    for (const one of [image, other]) await assert.rejects(check(one, ask));
    time = 500;

    const answers = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) =>
        check({ ...image, tag: String(index) }, { ...ask, isInteractive: false }),
      ),
    );

    assert.equal(asked, 2);
    for (const answer of answers) {
      assert(answer.status === 'rejected' && answer.reason instanceof CloneError);
      assert.equal(
        answer.reason.message,
        'reg.test gave no usable answer 1 s ago, next attempt in 2 s',
      );
    }
    time = 2_000;
    await assert.rejects(check(image, { ...ask, isInteractive: false }), /connection refused/);
    assert.equal(asked, 3);
  });

  describe('for a controller in a crash loop', () => {
    const controllers = { ...ask, isInteractive: false };

    function createMissing(): {
      readonly check: CheckSource;
      readonly at: (ms: number) => void;
      readonly asked: () => number;
      readonly keyring: Credentials[];
    } {
      let [time, asked] = [0, 0];
      const own: Credentials[] = [];
      const check = createCheck(
        async () => {
          asked += 1;
          return undefined;
        },
        { now: () => time, keyring: own },
      );
      return { check, at: (ms) => (time = ms), asked: () => asked, keyring: own };
    }

    it('does not ask again for what did not exist a moment ago', async () => {
      const { check, at, asked } = createMissing();
      await assert.rejects(check(image, controllers), {
        message: 'reg.test/team/app:1 does not exist on reg.test',
      });
      at(1_200);

      await assert.rejects(check(image, controllers), {
        code: 'SOURCE_NOT_FOUND',
        message:
          'reg.test/team/app:1 does not exist on reg.test; tried 2 s ago, next attempt in 1 s',
      });
      assert.equal(asked(), 1);
      at(2_000);
      await assert.rejects(check(image, controllers), { message: /on reg\.test$/ });
      assert.equal(asked(), 2);
    });

    it('asks at once for a person, for another image and with other credentials', async () => {
      const { check, asked, keyring: own } = createMissing();
      await assert.rejects(check(image, controllers));

      await assert.rejects(check(image, ask));
      assert.equal(asked(), 2);
      await assert.rejects(check({ ...image, tag: '2' }, controllers));
      assert.equal(asked(), 3);
      own.push({ username: 'new', password: 'p' });
      await assert.rejects(check(image, controllers));
      assert.equal(asked(), 5);
    });
  });

  describe('at a registry that limits', () => {
    const limited = (retryAfterMs?: number): never => {
      throw new CloneError('SOURCE_RATE_LIMITED', 'slow down', { retryAfterMs });
    };

    it('asks nothing more until the limit is over, not even for a person, and says how long that is', async () => {
      let [time, asked] = [0, 0];
      const check = createCheck(
        async () => {
          asked += 1;
          return limited(41_000);
        },
        { now: () => time },
      );
      await assert.rejects(check(image, ask), { code: 'SOURCE_RATE_LIMITED' });
      time = 1_000;

      await assert.rejects(check(other, ask), {
        code: 'SOURCE_RATE_LIMITED',
        message:
          'reg.test limits requests for 40 s more: authenticate (SOURCE_AUTH_FILE) to get a separate limit',
      });
      assert.equal(asked, 1);
    });

    it('waits where the limit ends within the budget', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      let time = 0;
      const answers: Resolve[] = [
        async () => limited(3_000),
        async () => ({ digest: 'sha256:d', isIndex: false }),
      ];
      const check = createCheck((...args) => (answers.shift() ?? hangs)(...args), {
        now: () => time,
      });

      const answer = check(image, ask);
      await settle();
      time = 3_000;
      t.mock.timers.tick(3_000);

      assert.equal((await answer).digest, 'sha256:d');
    });
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

    it('tries ten of them and no more: a Secret has room for thousands of guesses', async () => {
      const tried: (string | undefined)[] = [];
      const guesses = Array.from({ length: 50 }, (_, n) => ({ username: `g${n}`, password: 'p' }));
      const check = createCheck(
        async (_, { credentials }) => {
          tried.push(credentials?.username);
          return denied();
        },
        {
          keyring,
          workloadSecrets: {
            ...createSecrets(),
            keyring: async () => ({ keyring: { find: () => guesses }, warnings: [] }),
          },
        },
      );

      await assert.rejects(check(image, { ...ask, pod }), { code: 'SOURCE_DENIED' });

      assert.deepEqual(tried.slice(8), ['g8', 'g9', 'a', 'b', undefined]);
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

    it('leaves half of the time to the registry where nobody says what the secrets are', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      let time = 0;
      const silent = { ...createSecrets(), keyring: () => new Promise<never>(() => undefined) };
      const options = { workloadSecrets: silent, now: () => time };
      const pass = async (ms: number): Promise<void> => {
        await settle();
        time += ms;
        t.mock.timers.tick(ms);
      };

      const open = createCheck(async () => ({ digest: 'sha256:d', isIndex: false }), options);
      const found = open(image, { ...ask, pod, budgetMs: 2_000 });
      await pass(1_000);
      assert.equal((await found).digest, 'sha256:d');

      const refused = createCheck(async () => denied(), options)(image, { ...ask, pod });
      await pass(4_500);
      await assert.rejects(refused, {
        code: 'SOURCE_DENIED',
        message: 'denied; its pull secrets could not be read in time',
      });

      const hanging = createCheck(hangs, options)(image, { ...ask, pod, budgetMs: 2_000 });
      await pass(1_000);
      await pass(1_000);
      await assert.rejects(hanging, { message: /^reg\.test did not say within 1 s/ });
    });

    it('asks the cluster for nothing where there is no workload', async () => {
      const check = createCheck(async () => ({ digest: 'sha256:d', isIndex: false }), {
        workloadSecrets: { ...createSecrets(), keyring: () => assert.fail('asked') },
      });

      assert.equal((await check(image, ask)).digest, 'sha256:d');
    });
  });
});
