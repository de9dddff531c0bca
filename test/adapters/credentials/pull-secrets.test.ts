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

/** By `namespace/name`; what is not listed is absent. */
interface Cluster {
  readonly secrets: Map<string, Lookup<Secret> | 'hang'>;
  readonly accounts: Map<string, Lookup<readonly string[]> | 'hang'>;
}

interface Bench extends Cluster, MemoryLog {
  readonly source: WorkloadSecrets;
  readonly asked: string[];
  /** Milliseconds. */
  readonly clock: { now: number };
}

function createBench(options: Partial<PullSecretsDeps> = {}): Bench {
  const cluster: Cluster = { secrets: new Map(), accounts: new Map() };
  const asked: string[] = [];
  const clock = { now: 1_000_000 };
  const log = createMemoryLog();

  async function answer<Found>(
    kind: 'secrets' | 'accounts',
    key: string,
    objects: ReadonlyMap<string, Lookup<Found> | 'hang'>,
    within: AbortSignal,
  ): Promise<Lookup<Found>> {
    asked.push(`${kind} ${key}`);
    const found = objects.get(key) ?? { status: 'absent' };
    if (found !== 'hang') return await Promise.resolve(found);
    const { promise, resolve } = Promise.withResolvers<void>();
    within.addEventListener('abort', () => resolve());
    // Its timer alone keeps no process alive.
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
  return { ...cluster, ...log, source, asked, clock };
}

type Entries = Readonly<Record<string, string>>;

function toAuths(entries: Entries): object {
  return Object.fromEntries(
    Object.entries(entries).map(([key, username]) => [key, { username, password: 'p' }]),
  );
}

function found(type: string, key: string, text: string): Lookup<Secret> {
  const data = { [key]: Buffer.from(text).toString('base64') };
  return { status: 'found', found: { type, data } };
}

function configJson(entries: Entries): Lookup<Secret> {
  const text = JSON.stringify({ auths: toAuths(entries) });
  return found('kubernetes.io/dockerconfigjson', '.dockerconfigjson', text);
}

function dockercfg(entries: Entries): Lookup<Secret> {
  return found('kubernetes.io/dockercfg', '.dockercfg', JSON.stringify(toAuths(entries)));
}

async function read(
  { source }: Bench,
  names: readonly string[],
  serviceAccount?: string,
): Promise<{ readonly users: readonly string[]; readonly warnings: readonly string[] }> {
  const { keyring, warnings } = await source.keyring(
    { namespace: 'a', names, serviceAccount },
    signal,
  );
  return { users: keyring.find(image).map(({ username }) => username), warnings };
}

describe('keyring', () => {
  it("puts all secrets into one keyring, in the kubelet's order", async () => {
    const bench = createBench();
    bench.secrets.set('a/one', configJson({ '*.test': 'star', 'reg.test': 'first' }));
    bench.secrets.set(
      'a/two',
      dockercfg({ 'https://reg.test': 'second', 'reg.test/team': 'team' }),
    );

    assert.deepEqual(await read(bench, ['one', 'two']), {
      users: ['team', 'first', 'second', 'star'],
      warnings: [],
    });
    assert.deepEqual((await read(bench, ['two', 'one'])).users, [
      'team',
      'second',
      'first',
      'star',
    ]);
  });

  it('takes those of the ServiceAccount only where the pod names none', async () => {
    const bench = createBench();
    bench.accounts.set('a/default', { status: 'found', found: ['of-default'] });
    bench.accounts.set('a/build', { status: 'found', found: ['of-build'] });
    bench.secrets.set('a/own', configJson({ 'reg.test': 'own' }));
    bench.secrets.set('a/of-default', configJson({ 'reg.test': 'default' }));
    bench.secrets.set('a/of-build', configJson({ 'reg.test': 'build' }));

    assert.deepEqual((await read(bench, ['own'])).users, ['own']);
    assert.deepEqual(bench.asked, ['secrets a/own']);
    assert.deepEqual((await read(bench, [])).users, ['default']);
    assert.deepEqual((await read(bench, [], 'build')).users, ['build']);
    // A pod that names an empty name has named one.
    assert.deepEqual(await read(bench, ['']), { users: [], warnings: [] });
  });

  it('reads no type but the two, and each by its own key', async () => {
    const bench = createBench();
    const text = JSON.stringify({ auths: toAuths({ 'reg.test': 'u' }) });
    bench.secrets.set('a/opaque', found('Opaque', '.dockerconfigjson', text));
    bench.secrets.set('a/other', found('kubernetes.io/dockercfg', '.dockerconfigjson', text));

    assert.deepEqual(await read(bench, ['opaque', 'other']), {
      users: [],
      warnings: ['pull secret "other" cannot be read and was skipped'],
    });
  });

  const broken: readonly (readonly [what: string, Lookup<Secret>, problem: string])[] = [
    [
      'that is no JSON',
      found('kubernetes.io/dockerconfigjson', '.dockerconfigjson', 's3cret'),
      'it is not a docker config.json with "auths"',
    ],
    [
      'of the older type that is no JSON',
      found('kubernetes.io/dockercfg', '.dockercfg', '{"reg.test":"s3cret"}'),
      'it is not a .dockercfg',
    ],
    [
      'that is too large to be one',
      found(
        'kubernetes.io/dockerconfigjson',
        '.dockerconfigjson',
        `{"s3cret":"${'x'.repeat(1e5)}"}`,
      ),
      'it is too large',
    ],
  ];
  for (const [what, secret, problem] of broken) {
    it(`skips a secret ${what}, says so and does not quote it`, async () => {
      const bench = createBench();
      bench.secrets.set('a/broken', secret);
      bench.secrets.set('a/good', configJson({ 'reg.test': 'good' }));

      assert.deepEqual(await read(bench, ['broken', 'good']), {
        users: ['good'],
        warnings: ['pull secret "broken" cannot be read and was skipped'],
      });
      assert.deepEqual(bench.lines, [
        {
          level: 'warn',
          message: 'a pull secret is broken and skipped',
          fields: { namespace: 'a', secret: 'broken', problem },
        },
      ]);
    });
  }

  it('does without what is missing, forbidden or not answered, and says what to do once', async () => {
    const bench = createBench();
    bench.secrets.set('a/closed', { status: 'forbidden' });
    bench.secrets.set('a/closed-too', { status: 'forbidden' });
    bench.secrets.set('a/silent', { status: 'unavailable' });
    bench.secrets.set('a/good', configJson({ 'reg.test': 'good' }));

    assert.deepEqual(await read(bench, ['closed', 'gone', 'silent', 'closed-too', 'good']), {
      users: ['good'],
      warnings: [
        'its pull secrets may not be read: run "just pull-secret a"',
        'pull secret "gone" does not exist in its namespace',
        'its pull secrets could not be read: the API server did not answer',
      ],
    });
  });

  const accounts: readonly (readonly [Lookup<readonly string[]>, warning: string])[] = [
    [{ status: 'forbidden' }, 'its pull secrets may not be read: run "just pull-secret a"'],
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
    it(`has no credentials where its ServiceAccount is ${account.status}`, async () => {
      const bench = createBench();
      bench.accounts.set('a/default', account);

      assert.deepEqual(await read(bench, []), { users: [], warnings: [warning] });
    });
  }

  it('keeps warnings within 120 characters, the namespace whole', async () => {
    const bench = createBench();
    const namespace = 'n'.repeat(63);
    const name = 'x'.repeat(253);
    bench.secrets.set(`${namespace}/closed`, { status: 'forbidden' });
    const of = { namespace, names: ['closed', name] };

    const { warnings } = await bench.source.keyring(of, signal);
    const account = { namespace, names: [], serviceAccount: name };
    const more = (await bench.source.keyring(account, signal)).warnings;

    assert.deepEqual(warnings, [
      `its pull secrets may not be read: run "just pull-secret ${namespace}"`,
      `pull secret "${'x'.repeat(50)}…" does not exist in its namespace`,
    ]);
    for (const warning of [...warnings, ...more]) assert.ok(warning.length <= 120, warning);
  });

  it('passes over a secret with more registries than anybody has', async () => {
    const bench = createBench();
    const entriesOf = (count: number): Entries =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`r${n}.test`, 'many']));
    bench.secrets.set('a/full', configJson({ ...entriesOf(99), 'reg.test': 'full' }));
    bench.secrets.set('a/huge', configJson({ ...entriesOf(100), 'reg.test': 'huge' }));

    assert.deepEqual(await read(bench, ['full', 'huge']), {
      users: ['full'],
      warnings: ['pull secret "huge" cannot be read and was skipped'],
    });
  });

  it('passes over a password that is longer than any', async () => {
    const bench = createBench();
    const entries = {
      'reg.test': { username: 'short', password: 'p'.repeat(16_000) },
      '*.test': { username: 'long', password: 'p'.repeat(17_000) },
    };
    const text = JSON.stringify({ auths: entries });
    bench.secrets.set('a/x', found('kubernetes.io/dockerconfigjson', '.dockerconfigjson', text));

    assert.deepEqual(await read(bench, ['x']), { users: ['short'], warnings: [] });
  });

  it('reads twenty secrets of a pod, not a thousand', async () => {
    const bench = createBench();
    const names = Array.from({ length: 1_000 }, (_, index) => `s${index}`);
    for (const name of names) bench.secrets.set(`a/${name}`, configJson({ 'reg.test': name }));

    const { users, warnings } = await read(bench, names);

    assert.deepEqual(users, names.slice(0, 20));
    assert.deepEqual(warnings, ['only the first 20 of its pull secrets were read']);
    assert.equal(bench.asked.length, 20);
  });

  it('asks and keeps nothing for a name that no object can have', async () => {
    const bench = createBench();
    const name = 'x'.repeat(1_000_000);

    const secret = await bench.source.keyring({ namespace: 'a', names: [name] }, signal);
    const account = { namespace: 'a', names: [], serviceAccount: name };
    const { warnings } = await bench.source.keyring(account, signal);

    assert.deepEqual(bench.asked, []);
    assert.deepEqual(
      [...secret.warnings, ...warnings],
      [
        `pull secret "${'x'.repeat(50)}…" does not exist in its namespace`,
        `its ServiceAccount "${'x'.repeat(50)}…", which may name pull secrets, does not exist`,
      ],
    );
    assert.equal(await bench.source.hasSecret('a', name, signal), false);
  });

  it('ends its wait for an API server that hangs', async () => {
    const bench = createBench({ patienceMs: 20 });
    bench.secrets.set('a/x', 'hang');

    assert.deepEqual(await read(bench, ['x']), {
      users: [],
      warnings: ['its pull secrets could not be read: the API server did not answer'],
    });
  });

  it("rejects with the review's own reason when that ends first", async () => {
    const bench = createBench({ patienceMs: 500 });
    bench.secrets.set('a/x', 'hang');
    const review = new AbortController();
    const reason = new Error('hung up');

    const answer = bench.source.keyring({ namespace: 'a', names: ['x'] }, review.signal);
    review.abort(reason);

    await assert.rejects(answer, reason);
  });
});

describe('the memory of pull secrets', () => {
  it('asks once for ten seconds and for all who ask at the same time', async () => {
    const bench = createBench();
    bench.accounts.set('a/default', { status: 'found', found: ['x'] });
    bench.secrets.set('a/x', configJson({ 'reg.test': 'old' }));

    await Promise.all([read(bench, []), read(bench, ['x']), read(bench, [])]);
    bench.secrets.set('a/x', configJson({ 'reg.test': 'new' }));
    bench.clock.now += 9_999;
    assert.deepEqual((await read(bench, [])).users, ['old']);
    assert.deepEqual(bench.asked.toSorted(), ['accounts a/default', 'secrets a/x']);

    bench.clock.now += 1;
    assert.deepEqual((await read(bench, [])).users, ['new']);
  });

  it('remembers what is missing and forbidden, not a silence', async () => {
    const bench = createBench();
    bench.secrets.set('a/closed', { status: 'forbidden' });
    bench.secrets.set('a/silent', { status: 'unavailable' });

    for (let round = 0; round < 2; round += 1) await read(bench, ['closed', 'gone', 'silent']);

    assert.deepEqual(bench.asked, [
      'secrets a/closed',
      'secrets a/gone',
      'secrets a/silent',
      'secrets a/silent',
    ]);
  });

  it('forgets one namespace when told, though not every time it is told', async () => {
    const bench = createBench();
    bench.secrets.set('a/x', configJson({ 'reg.test': 'old' }));
    await read(bench, ['x']);
    await bench.source.hasSecret('a2', 'y', signal);
    bench.secrets.set('a/x', configJson({ 'reg.test': 'new' }));

    bench.source.forget('a');
    assert.deepEqual((await read(bench, ['x'])).users, ['old']);
    bench.clock.now += 1_000;
    bench.source.forget('a');
    assert.deepEqual((await read(bench, ['x'])).users, ['new']);

    await bench.source.hasSecret('a2', 'y', signal);
    assert.deepEqual(bench.asked, ['secrets a/x', 'secrets a2/y', 'secrets a/x']);
  });

  it('is bounded', async () => {
    const bench = createBench();
    await bench.source.hasSecret('a', 'first', signal);
    for (let index = 0; index < 500; index += 1)
      await bench.source.hasSecret('a', `s${index}`, signal);
    bench.asked.length = 0;

    await bench.source.hasSecret('a', 's499', signal);
    await bench.source.hasSecret('a', 's1', signal);
    await bench.source.hasSecret('a', 'first', signal);

    assert.deepEqual(bench.asked, ['secrets a/first']);
  });

  it('keeps namespaces apart', async () => {
    const bench = createBench();
    bench.secrets.set('a/x', configJson({ 'reg.test': 'of-a' }));
    await read(bench, ['x']);

    const { keyring } = await bench.source.keyring({ namespace: 'b', names: ['x'] }, signal);

    assert.deepEqual(keyring.find(image), []);
  });
});

describe('serviceAccountSecrets and hasSecret', () => {
  it('tell what is there, what is not, and what nobody can tell', async () => {
    const bench = createBench();
    bench.accounts.set('a/named', { status: 'found', found: ['x', 'y'] });
    bench.accounts.set('a/bare', { status: 'found', found: [] });
    bench.accounts.set('a/closed', { status: 'forbidden' });
    bench.accounts.set('a/silent', { status: 'unavailable' });
    const names = ['named', 'bare', 'closed', 'silent', 'gone'];

    const answers = await Promise.all(
      names.map((name) => bench.source.serviceAccountSecrets('a', name, signal)),
    );

    assert.deepEqual(answers, [['x', 'y'], [], undefined, undefined, undefined]);
  });

  it('tell whether a secret exists, whatever is in it', async () => {
    const bench = createBench();
    const type = 'kubernetes.io/dockerconfigjson';
    bench.secrets.set('a/good', configJson({}));
    bench.secrets.set('a/broken', found(type, '.dockerconfigjson', 'x'));
    bench.secrets.set('a/opaque', found('Opaque', 'x', 'x'));
    bench.secrets.set('a/closed', { status: 'forbidden' });
    bench.secrets.set('a/silent', { status: 'unavailable' });
    const names = ['good', 'broken', 'opaque', 'gone', 'closed', 'silent'];

    const answers = await Promise.all(
      names.map((name) => bench.source.hasSecret('a', name, signal)),
    );

    assert.deepEqual(answers, [true, true, true, false, undefined, undefined]);
  });
});
