import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  createPullSecrets,
  type PullSecretsDeps,
} from '../../../lib/adapters/credentials/pull-secrets.ts';
import type { WorkloadSecrets } from '../../../lib/index.ts';
import type { Lookup, Secret } from '../../../lib/ports/index.ts';
import { createMemoryLog, type MemoryLog } from '../../support/memory-log.ts';

const { signal } = new AbortController();
const image = { domain: 'reg.test', path: 'team/app' };

/** By `namespace/name`; other objects are absent. */
interface Cluster {
  readonly secrets: Map<string, Lookup<Secret> | 'hang'>;
  readonly accounts: Map<string, Lookup<readonly string[]> | 'hang'>;
}

interface Setup extends Cluster, MemoryLog {
  readonly source: WorkloadSecrets;
  readonly requests: string[];
  /** Milliseconds. */
  readonly clock: { now: number };
}

function createSetup(options: Partial<PullSecretsDeps> = {}): Setup {
  const cluster: Cluster = { secrets: new Map(), accounts: new Map() };
  const requests: string[] = [];
  const clock = { now: 1_000_000 };
  const log = createMemoryLog();

  async function answer<Found>(
    kind: 'secrets' | 'accounts',
    key: string,
    objects: ReadonlyMap<string, Lookup<Found> | 'hang'>,
    within: AbortSignal,
  ): Promise<Lookup<Found>> {
    requests.push(`${kind} ${key}`);
    const lookup = objects.get(key) ?? { status: 'absent' };
    if (lookup !== 'hang') return await Promise.resolve(lookup);
    const { promise, resolve } = Promise.withResolvers<void>();
    within.addEventListener('abort', () => resolve());
    // The timer of an AbortSignal does not keep the process alive.
    const alive = setTimeout(resolve, 60_000);
    await promise;
    clearTimeout(alive);
    return { status: 'unavailable' };
  }

  const source = createPullSecrets({
    reader: {
      readSecret: (namespace, name, within) =>
        answer('secrets', `${namespace}/${name}`, cluster.secrets, within),
      readPullSecretNames: (namespace, name, within) =>
        answer('accounts', `${namespace}/${name}`, cluster.accounts, within),
    },
    logger: log.logger,
    now: () => clock.now,
    ...options,
  });
  return { ...cluster, ...log, source, requests, clock };
}

type Entries = Readonly<Record<string, string>>;

function toAuths(entries: Entries): object {
  return Object.fromEntries(
    Object.entries(entries).map(([key, username]) => [key, { username, password: 'p' }]),
  );
}

function secretOf(type: string, key: string, text: string): Lookup<Secret> {
  const data = { [key]: Buffer.from(text).toString('base64') };
  return { status: 'found', found: { type, data } };
}

function configJson(entries: Entries): Lookup<Secret> {
  const text = JSON.stringify({ auths: toAuths(entries) });
  return secretOf('kubernetes.io/dockerconfigjson', '.dockerconfigjson', text);
}

function dockercfg(entries: Entries): Lookup<Secret> {
  return secretOf('kubernetes.io/dockercfg', '.dockercfg', JSON.stringify(toAuths(entries)));
}

async function read(
  { source }: Setup,
  names: readonly string[],
  serviceAccount?: string,
): Promise<{ readonly users: readonly string[]; readonly warnings: readonly string[] }> {
  const { keyring, warnings } = await source.keyring(
    { namespace: 'a', names, serviceAccount },
    signal,
  );
  return { users: keyring.find(image).map(({ username }) => username), warnings };
}

describe('createPullSecrets keyring', () => {
  it("merges all pull secrets into one keyring in the kubelet's order", async () => {
    const setup = createSetup();
    setup.secrets.set('a/one', configJson({ '*.test': 'star', 'reg.test': 'first' }));
    setup.secrets.set(
      'a/two',
      dockercfg({ 'https://reg.test': 'second', 'reg.test/team': 'team' }),
    );

    assert.deepEqual(await read(setup, ['one', 'two']), {
      users: ['team', 'first', 'second', 'star'],
      warnings: [],
    });
    assert.deepEqual((await read(setup, ['two', 'one'])).users, [
      'team',
      'second',
      'first',
      'star',
    ]);
  });

  it('uses the pull secrets of the ServiceAccount only if the pod names none', async () => {
    const setup = createSetup();
    setup.accounts.set('a/default', { status: 'found', found: ['of-default'] });
    setup.accounts.set('a/build', { status: 'found', found: ['of-build'] });
    setup.secrets.set('a/own', configJson({ 'reg.test': 'own' }));
    setup.secrets.set('a/of-default', configJson({ 'reg.test': 'default' }));
    setup.secrets.set('a/of-build', configJson({ 'reg.test': 'build' }));

    assert.deepEqual((await read(setup, ['own'])).users, ['own']);
    assert.deepEqual(setup.requests, ['secrets a/own']);
    assert.deepEqual((await read(setup, [])).users, ['default']);
    assert.deepEqual((await read(setup, [], 'build')).users, ['build']);
    // An empty name counts as a name.
    assert.deepEqual(await read(setup, ['']), { users: [], warnings: [] });
  });

  it('reads only the two pull secret types, each by its own key', async () => {
    const setup = createSetup();
    const text = JSON.stringify({ auths: toAuths({ 'reg.test': 'u' }) });
    setup.secrets.set('a/opaque', secretOf('Opaque', '.dockerconfigjson', text));
    setup.secrets.set('a/other', secretOf('kubernetes.io/dockercfg', '.dockerconfigjson', text));

    assert.deepEqual(await read(setup, ['opaque', 'other']), {
      users: [],
      warnings: ['pull secret "other" is not valid and was skipped'],
    });
  });

  const broken: readonly (readonly [what: string, Lookup<Secret>, problem: string])[] = [
    [
      'that is not JSON',
      secretOf('kubernetes.io/dockerconfigjson', '.dockerconfigjson', 's3cret'),
      'it is not a docker config.json with "auths"',
    ],
    [
      'of the older type that is not JSON',
      secretOf('kubernetes.io/dockercfg', '.dockercfg', '{"reg.test":"s3cret"}'),
      'it is not a .dockercfg',
    ],
    [
      'of more than 128 KiB',
      secretOf(
        'kubernetes.io/dockerconfigjson',
        '.dockerconfigjson',
        `{"s3cret":"${'x'.repeat(1e5)}"}`,
      ),
      'it is too large',
    ],
  ];
  for (const [what, secret, problem] of broken) {
    it(`skips a pull secret ${what} and logs why without quoting it`, async () => {
      const setup = createSetup();
      setup.secrets.set('a/broken', secret);
      setup.secrets.set('a/good', configJson({ 'reg.test': 'good' }));

      assert.deepEqual(await read(setup, ['broken', 'good']), {
        users: ['good'],
        warnings: ['pull secret "broken" is not valid and was skipped'],
      });
      assert.deepEqual(setup.lines, [
        {
          level: 'warn',
          message: 'pull secret is invalid and skipped',
          fields: { namespace: 'a', secret: 'broken', problem },
        },
      ]);
    });
  }

  it('skips missing, forbidden and unavailable pull secrets, and warns once for each cause', async () => {
    const setup = createSetup();
    setup.secrets.set('a/closed', { status: 'forbidden' });
    setup.secrets.set('a/closed-too', { status: 'forbidden' });
    setup.secrets.set('a/silent', { status: 'unavailable' });
    setup.secrets.set('a/good', configJson({ 'reg.test': 'good' }));

    assert.deepEqual(await read(setup, ['closed', 'gone', 'silent', 'closed-too', 'good']), {
      users: ['good'],
      warnings: [
        'RBAC denies its pull secrets: run "just pull-secret a"',
        'pull secret "gone" does not exist in its namespace',
        'its pull secrets could not be read: the API server did not answer',
      ],
    });
  });

  const accounts: readonly (readonly [Lookup<readonly string[]>, warning: string])[] = [
    [{ status: 'forbidden' }, 'RBAC denies its pull secrets: run "just pull-secret a"'],
    [
      { status: 'absent' },
      'its ServiceAccount "default", which may name pull secrets, does not exist',
    ],
    [
      { status: 'unavailable' },
      'its pull secrets could not be read: the API server did not answer',
    ],
  ];
  for (const [account, warning] of accounts) {
    it(`returns no credentials if the ServiceAccount is ${account.status}`, async () => {
      const setup = createSetup();
      setup.accounts.set('a/default', account);

      assert.deepEqual(await read(setup, []), { users: [], warnings: [warning] });
    });
  }

  it('limits pull secret warnings to 120 characters without cutting the namespace', async () => {
    const setup = createSetup();
    const namespace = 'n'.repeat(63);
    const name = 'x'.repeat(253);
    setup.secrets.set(`${namespace}/closed`, { status: 'forbidden' });
    const of = { namespace, names: ['closed', name] };

    const { warnings } = await setup.source.keyring(of, signal);
    const account = { namespace, names: [], serviceAccount: name };
    const more = (await setup.source.keyring(account, signal)).warnings;

    assert.deepEqual(warnings, [
      `RBAC denies its pull secrets: run "just pull-secret ${namespace}"`,
      `pull secret "${'x'.repeat(50)}…" does not exist in its namespace`,
    ]);
    for (const warning of [...warnings, ...more]) assert.ok(warning.length <= 120, warning);
  });

  it('skips a pull secret with more than 100 registries', async () => {
    const setup = createSetup();
    const entriesOf = (count: number): Entries =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`r${n}.test`, 'many']));
    setup.secrets.set('a/full', configJson({ ...entriesOf(99), 'reg.test': 'full' }));
    setup.secrets.set('a/huge', configJson({ ...entriesOf(100), 'reg.test': 'huge' }));

    assert.deepEqual(await read(setup, ['full', 'huge']), {
      users: ['full'],
      warnings: ['pull secret "huge" is not valid and was skipped'],
    });
  });

  it('skips pull secret credentials of more than 16 KiB', async () => {
    const setup = createSetup();
    const entries = {
      'reg.test': { username: 'short', password: 'p'.repeat(16_000) },
      '*.test': { username: 'long', password: 'p'.repeat(17_000) },
    };
    const text = JSON.stringify({ auths: entries });
    setup.secrets.set('a/x', secretOf('kubernetes.io/dockerconfigjson', '.dockerconfigjson', text));

    assert.deepEqual(await read(setup, ['x']), { users: ['short'], warnings: [] });
  });

  it('reads at most 20 pull secrets of a pod', async () => {
    const setup = createSetup();
    const names = Array.from({ length: 1_000 }, (_, index) => `s${index}`);
    for (const name of names) setup.secrets.set(`a/${name}`, configJson({ 'reg.test': name }));

    const { users, warnings } = await read(setup, names);

    assert.deepEqual(users, names.slice(0, 20));
    assert.deepEqual(warnings, ['only the first 20 of its pull secrets were read']);
    assert.equal(setup.requests.length, 20);
  });

  it('sends no request for a pull secret name of more than 253 characters', async () => {
    const setup = createSetup();
    const name = 'x'.repeat(1_000_000);

    const secret = await setup.source.keyring({ namespace: 'a', names: [name] }, signal);
    const account = { namespace: 'a', names: [], serviceAccount: name };
    const { warnings } = await setup.source.keyring(account, signal);

    assert.deepEqual(setup.requests, []);
    assert.deepEqual(
      [...secret.warnings, ...warnings],
      [
        `pull secret "${'x'.repeat(50)}…" does not exist in its namespace`,
        `its ServiceAccount "${'x'.repeat(50)}…", which may name pull secrets, does not exist`,
      ],
    );
    assert.equal(await setup.source.hasSecret('a', name, signal), false);
  });

  it('stops reading pull secrets at its timeout when the API server hangs', async () => {
    const setup = createSetup({ timeoutMs: 20 });
    setup.secrets.set('a/x', 'hang');

    assert.deepEqual(await read(setup, ['x']), {
      users: [],
      warnings: ['its pull secrets could not be read: the API server did not answer'],
    });
  });

  it('stops reading pull secrets with the abort reason of the review before its own timeout', async () => {
    const setup = createSetup({ timeoutMs: 500 });
    setup.secrets.set('a/x', 'hang');
    const review = new AbortController();
    const reason = new Error('hung up');

    const answer = setup.source.keyring({ namespace: 'a', names: ['x'] }, review.signal);
    review.abort(reason);

    await assert.rejects(answer, reason);
  });
});

describe('createPullSecrets cache', () => {
  it('caches a pull secret for ten seconds and shares concurrent requests', async () => {
    const setup = createSetup();
    setup.accounts.set('a/default', { status: 'found', found: ['x'] });
    setup.secrets.set('a/x', configJson({ 'reg.test': 'old' }));

    await Promise.all([read(setup, []), read(setup, ['x']), read(setup, [])]);
    setup.secrets.set('a/x', configJson({ 'reg.test': 'new' }));
    setup.clock.now += 9_999;
    assert.deepEqual((await read(setup, [])).users, ['old']);
    assert.deepEqual(setup.requests.toSorted(), ['accounts a/default', 'secrets a/x']);

    setup.clock.now += 1;
    assert.deepEqual((await read(setup, [])).users, ['new']);
  });

  it('caches missing and forbidden pull secrets, but not unavailable ones', async () => {
    const setup = createSetup();
    setup.secrets.set('a/closed', { status: 'forbidden' });
    setup.secrets.set('a/silent', { status: 'unavailable' });

    for (let round = 0; round < 2; round += 1) await read(setup, ['closed', 'gone', 'silent']);

    assert.deepEqual(setup.requests, [
      'secrets a/closed',
      'secrets a/gone',
      'secrets a/silent',
      'secrets a/silent',
    ]);
  });

  it('drops the pull secrets of one namespace at most once per second', async () => {
    const setup = createSetup();
    setup.secrets.set('a/x', configJson({ 'reg.test': 'old' }));
    await read(setup, ['x']);
    await setup.source.hasSecret('a2', 'y', signal);
    setup.secrets.set('a/x', configJson({ 'reg.test': 'new' }));

    setup.source.forget('a');
    assert.deepEqual((await read(setup, ['x'])).users, ['old']);
    setup.clock.now += 1_000;
    setup.source.forget('a');
    assert.deepEqual((await read(setup, ['x'])).users, ['new']);

    await setup.source.hasSecret('a2', 'y', signal);
    assert.deepEqual(setup.requests, ['secrets a/x', 'secrets a2/y', 'secrets a/x']);
  });

  it('caches at most 500 pull secrets', async () => {
    const setup = createSetup();
    await setup.source.hasSecret('a', 'first', signal);
    for (let index = 0; index < 500; index += 1)
      await setup.source.hasSecret('a', `s${index}`, signal);
    setup.requests.length = 0;

    await setup.source.hasSecret('a', 's499', signal);
    await setup.source.hasSecret('a', 's1', signal);
    await setup.source.hasSecret('a', 'first', signal);

    assert.deepEqual(setup.requests, ['secrets a/first']);
  });

  it('does not share pull secrets between namespaces', async () => {
    const setup = createSetup();
    setup.secrets.set('a/x', configJson({ 'reg.test': 'of-a' }));
    await read(setup, ['x']);

    const { keyring } = await setup.source.keyring({ namespace: 'b', names: ['x'] }, signal);

    assert.deepEqual(keyring.find(image), []);
  });
});

describe('createPullSecrets serviceAccountSecrets and hasSecret', () => {
  it('returns the pull secrets of a ServiceAccount, or undefined if the API server does not say', async () => {
    const setup = createSetup();
    setup.accounts.set('a/named', { status: 'found', found: ['x', 'y'] });
    setup.accounts.set('a/bare', { status: 'found', found: [] });
    setup.accounts.set('a/closed', { status: 'forbidden' });
    setup.accounts.set('a/silent', { status: 'unavailable' });
    const names = ['named', 'bare', 'closed', 'silent', 'gone'];

    const answers = await Promise.all(
      names.map((name) => setup.source.serviceAccountSecrets('a', name, signal)),
    );

    assert.deepEqual(answers, [['x', 'y'], [], undefined, undefined, undefined]);
  });

  it('returns whether a Secret exists, whatever it contains, or undefined if the API server does not say', async () => {
    const setup = createSetup();
    const type = 'kubernetes.io/dockerconfigjson';
    setup.secrets.set('a/good', configJson({}));
    setup.secrets.set('a/broken', secretOf(type, '.dockerconfigjson', 'x'));
    setup.secrets.set('a/opaque', secretOf('Opaque', 'x', 'x'));
    setup.secrets.set('a/closed', { status: 'forbidden' });
    setup.secrets.set('a/silent', { status: 'unavailable' });
    const names = ['good', 'broken', 'opaque', 'gone', 'closed', 'silent'];

    const answers = await Promise.all(
      names.map((name) => setup.source.hasSecret('a', name, signal)),
    );

    assert.deepEqual(answers, [true, true, true, false, undefined, undefined]);
  });
});
