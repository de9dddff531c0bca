import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CheckSource, createCheckSource } from '../../../lib/cloner/source/check-source.ts';
import {
  CloneError,
  type Credentials,
  type ImageCloner,
  type WorkloadSecrets,
} from '../../../lib/index.ts';
import { drainMicrotasks } from '../../support/drain-microtasks.ts';

const image = { domain: 'reg.test', path: 'team/app', tag: '1' };
const { signal } = new AbortController();
const options = { budgetMs: 9_000, hasBackup: false, signal };

type Resolve = ImageCloner['resolve'];

function createCheck(
  resolve: Resolve,
  deps: {
    readonly keyring?: readonly Credentials[];
    readonly workloadSecrets?: WorkloadSecrets;
    readonly now?: () => number;
  } = {},
): CheckSource {
  const { keyring = [], now = () => 0 } = deps;
  return createCheckSource({
    cloner: { resolve, copy: () => assert.fail('a check copies nothing') },
    credentials: { credentialsFor: () => Promise.resolve(keyring) },
    workloadSecrets: deps.workloadSecrets,
    now,
  });
}

const denied = (): never => {
  throw new CloneError('SOURCE_DENIED', 'denied');
};
const hangs: Resolve = () => new Promise(() => undefined);

describe('createCheckSource', () => {
  const keyring = ['a', 'b'].map((username) => ({ username, password: 'p' }));

  it('tries each credential for a source in its order and anonymous access last', async () => {
    const tried: (string | undefined)[] = [];
    const check = createCheck(
      async (_, { credentials }) => {
        tried.push(credentials?.username);
        return credentials === undefined ? { digest: 'sha256:d', isIndex: false } : denied();
      },
      { keyring },
    );

    const found = await check(image, options);

    assert.deepEqual(tried, ['a', 'b', undefined]);
    assert.deepEqual(found, {
      digest: 'sha256:d',
      isIndex: false,
      access: { side: 'source', credentials: undefined },
      openedBy: 'anonymous',
    });
  });

  it('stops at the first credential that opens the image and reports it', async () => {
    const check = createCheck(
      async (_, { credentials }) =>
        credentials?.username === 'b' ? { digest: 'sha256:d', isIndex: false } : denied(),
      { keyring },
    );

    const { access } = await check(image, options);

    assert.equal(access.credentials?.username, 'b');
  });

  it('reports SOURCE_NOT_FOUND when one credential was accepted and the image was absent', async () => {
    const check = createCheck(
      async (_, { credentials }) => (credentials === undefined ? denied() : undefined),
      { keyring },
    );

    await assert.rejects(check(image, options), {
      code: 'SOURCE_NOT_FOUND',
      message: 'reg.test/team/app:1 does not exist on reg.test',
    });
  });

  it('reports SOURCE_DENIED when every credential was refused', async () => {
    await assert.rejects(createCheck(async () => denied(), { keyring })(image, options), {
      code: 'SOURCE_DENIED',
    });
  });

  const timeouts = [
    {
      what: 'the whole budget when there is no backup',
      hasBackup: false,
      budgetMs: 9_000,
      ms: 9_000,
      shown: '9 s',
    },
    {
      what: 'two seconds when there is a backup',
      hasBackup: true,
      budgetMs: 9_000,
      ms: 2_000,
      shown: '2 s',
    },
    {
      what: 'half of a short budget when there is a backup, which is read again afterwards',
      hasBackup: true,
      budgetMs: 1_600,
      ms: 800,
      shown: '0.80 s',
    },
  ];
  for (const { what, hasBackup, budgetMs, ms, shown } of timeouts) {
    it(`waits for a silent source for ${what}`, async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const answer = createCheck(hangs)(image, { ...options, budgetMs, hasBackup });
      let isSettled = false;
      answer
        .catch(() => undefined)
        .finally(() => {
          isSettled = true;
        });

      await drainMicrotasks();
      t.mock.timers.tick(ms - 1);
      await drainMicrotasks();
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

  it('waits a quarter of a second while the circuit of the source is open and two seconds a minute later', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let time = 0;
    let isDown = true;
    const check = createCheck((...args) => (isDown ? down() : hangs(...args)), {
      now: () => time,
    });
    await assert.rejects(check(image, options), { code: 'SOURCE_UNAVAILABLE' });
    await assert.rejects(check(other, options), { code: 'SOURCE_UNAVAILABLE' });
    isDown = false;

    const whileOpen = check(image, { ...options, hasBackup: true });
    await drainMicrotasks();
    t.mock.timers.tick(250);
    await assert.rejects(whileOpen, { message: /within 0\.25 s/ });

    time = 60_001;
    const later = check(image, { ...options, hasBackup: true });
    await drainMicrotasks();
    t.mock.timers.tick(2_000);
    await assert.rejects(later, { message: /within 2 s/ });
  });

  it('keeps calling a source that fails for one image only', async () => {
    const calls: string[] = [];
    const check = createCheck(async ({ path }) => {
      calls.push(path);
      return path === image.path ? down() : { digest: 'sha256:d', isIndex: false };
    });
    for (let i = 0; i < 3; i += 1) await assert.rejects(check(image, options));

    const found = await check(other, { ...options, isInteractive: false });

    assert.equal(found.digest, 'sha256:d');
    assert.equal(calls.length, 4);
  });

  it('waits for a source up to the full timeout again after it answered', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const answers: Resolve[] = [
      async () => down(),
      async () => down(),
      async () => ({ digest: 'sha256:d', isIndex: false }),
      hangs,
    ];
    const check = createCheck((...args) => (answers.shift() ?? hangs)(...args));
    await assert.rejects(check(image, options), { code: 'SOURCE_UNAVAILABLE' });
    await assert.rejects(check(other, options), { code: 'SOURCE_UNAVAILABLE' });
    await check(image, options);

    const fourth = check(image, { ...options, hasBackup: true });
    await drainMicrotasks();
    t.mock.timers.tick(2_000);

    await assert.rejects(fourth, { message: /within 2 s/ });
  });

  it('does not call a source that is down for a controller, and reports when it is probed next', async () => {
    let time = 0;
    let calls = 0;
    const check = createCheck(
      async () => {
        calls += 1;
        return down();
      },
      { now: () => time },
    );
    for (const one of [image, other]) await assert.rejects(check(one, options));
    time = 500;

    const answers = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) =>
        check({ ...image, tag: String(index) }, { ...options, isInteractive: false }),
      ),
    );

    assert.equal(calls, 2);
    for (const answer of answers) {
      assert(answer.status === 'rejected' && answer.reason instanceof CloneError);
      assert.equal(
        answer.reason.message,
        'reg.test gave no usable answer 1 s ago, next attempt in 2 s',
      );
    }
    time = 2_000;
    await assert.rejects(check(image, { ...options, isInteractive: false }), /connection refused/);
    assert.equal(calls, 3);
  });

  describe('createCheckSource for a controller in a crash loop', () => {
    const asController = { ...options, isInteractive: false };

    function createCheckOfMissing(): {
      readonly check: CheckSource;
      readonly at: (ms: number) => void;
      readonly calls: () => number;
      readonly keyring: Credentials[];
    } {
      let [time, calls] = [0, 0];
      const own: Credentials[] = [];
      const check = createCheck(
        async () => {
          calls += 1;
          return undefined;
        },
        { now: () => time, keyring: own },
      );
      return { check, at: (ms) => (time = ms), calls: () => calls, keyring: own };
    }

    it('answers a controller from the negative cache when the image was absent a moment ago', async () => {
      const { check, at, calls } = createCheckOfMissing();
      await assert.rejects(check(image, asController), {
        message: 'reg.test/team/app:1 does not exist on reg.test',
      });
      at(1_200);

      await assert.rejects(check(image, asController), {
        code: 'SOURCE_NOT_FOUND',
        message:
          'reg.test/team/app:1 does not exist on reg.test; tried 2 s ago, next attempt in 1 s',
      });
      assert.equal(calls(), 1);
      at(2_000);
      await assert.rejects(check(image, asController), { message: /on reg\.test$/ });
      assert.equal(calls(), 2);
    });

    it('bypasses the negative cache for interactive requests, other images and other credentials', async () => {
      const { check, calls, keyring: own } = createCheckOfMissing();
      await assert.rejects(check(image, asController));

      await assert.rejects(check(image, options));
      assert.equal(calls(), 2);
      await assert.rejects(check({ ...image, tag: '2' }, asController));
      assert.equal(calls(), 3);
      own.push({ username: 'new', password: 'p' });
      await assert.rejects(check(image, asController));
      assert.equal(calls(), 5);
    });
  });

  describe('createCheckSource at a registry that limits requests', () => {
    const limited = (retryAfterMs?: number): never => {
      throw new CloneError('SOURCE_RATE_LIMITED', 'slow down', { retryAfterMs });
    };

    it('does not call a source until its rate limit ends, and reports how long that takes', async () => {
      let [time, calls] = [0, 0];
      const check = createCheck(
        async () => {
          calls += 1;
          return limited(41_000);
        },
        { now: () => time },
      );
      await assert.rejects(check(image, options), { code: 'SOURCE_RATE_LIMITED' });
      time = 1_000;

      await assert.rejects(check(other, options), {
        code: 'SOURCE_RATE_LIMITED',
        message:
          'reg.test limits requests for 40 s more; authenticate (SOURCE_AUTH_FILE) to get a separate limit',
      });
      assert.equal(calls, 1);
    });

    it('waits for a rate limit of the source that ends within the budget', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      let time = 0;
      const answers: Resolve[] = [
        async () => limited(3_000),
        async () => ({ digest: 'sha256:d', isIndex: false }),
      ];
      const check = createCheck((...args) => (answers.shift() ?? hangs)(...args), {
        now: () => time,
      });

      const answer = check(image, options);
      await drainMicrotasks();
      time = 3_000;
      t.mock.timers.tick(3_000);

      assert.equal((await answer).digest, 'sha256:d');
    });
  });

  describe('createCheckSource with the pull secrets of a workload', () => {
    const pod = { namespace: 'shop', names: ['pull'] };

    function createSecrets(): WorkloadSecrets & { readonly forgotten: readonly string[] } {
      const forgotten: string[] = [];
      const unused = (): never => assert.fail('a check does not call this');
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

    it('tries pull secrets first, and SOURCE_AUTH_FILE after them', async () => {
      const tried: (string | undefined)[] = [];
      const check = createCheck(
        async (_, { credentials }) => {
          tried.push(credentials?.username);
          return credentials === undefined ? { digest: 'sha256:d', isIndex: false } : denied();
        },
        { keyring, workloadSecrets: createSecrets() },
      );

      await check(image, { ...options, pod });

      assert.deepEqual(tried, ['own', 'a', 'b', undefined]);
    });

    it('tries at most ten credentials of the pull secrets for an image', async () => {
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

      await assert.rejects(check(image, { ...options, pod }), { code: 'SOURCE_DENIED' });

      assert.deepEqual(tried.slice(8), ['g8', 'g9', 'a', 'b', undefined]);
    });

    it('adds the warnings about pull secrets to a denial of the source and drops the cached secrets', async () => {
      const workloadSecrets = createSecrets();
      const check = createCheck(async () => denied(), { workloadSecrets });

      await assert.rejects(check(image, { ...options, pod }), {
        code: 'SOURCE_DENIED',
        message: 'denied; run "just pull-secret shop"',
      });
      assert.deepEqual(workloadSecrets.forgotten, ['shop']);
    });

    it('waits for pull secrets for half of the budget and then checks the source without them', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      let time = 0;
      const silent = { ...createSecrets(), keyring: () => new Promise<never>(() => undefined) };
      const deps = { workloadSecrets: silent, now: () => time };
      const pass = async (ms: number): Promise<void> => {
        await drainMicrotasks();
        time += ms;
        t.mock.timers.tick(ms);
      };

      const open = createCheck(async () => ({ digest: 'sha256:d', isIndex: false }), deps);
      const found = open(image, { ...options, pod, budgetMs: 2_000 });
      await pass(1_000);
      assert.equal((await found).digest, 'sha256:d');

      const refused = createCheck(async () => denied(), deps)(image, { ...options, pod });
      await pass(4_500);
      await assert.rejects(refused, {
        code: 'SOURCE_DENIED',
        message: 'denied; its pull secrets could not be read in time',
      });

      const hanging = createCheck(hangs, deps)(image, { ...options, pod, budgetMs: 2_000 });
      await pass(1_000);
      await pass(1_000);
      await assert.rejects(hanging, { message: /^reg\.test did not say within 1 s/ });
    });

    it('reads no pull secrets when there is no workload', async () => {
      const check = createCheck(async () => ({ digest: 'sha256:d', isIndex: false }), {
        workloadSecrets: {
          ...createSecrets(),
          keyring: () => assert.fail('pull secrets were read'),
        },
      });

      assert.equal((await check(image, options)).digest, 'sha256:d');
    });
  });
});
