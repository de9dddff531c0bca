import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  describeChange,
  diffSettings,
  isRemoval,
  resolveSettings,
} from '../../../lib/install/record/index.ts';

describe('resolveSettings', () => {
  it('prefers the environment to the settings file, and the file to what is deployed', () => {
    const { settings, kept } = resolveSettings({
      env: { ON_ERROR: 'admit' },
      file: { ON_ERROR: 'deny', MAX_CLONES: '8' },
      deployed: { ON_ERROR: 'deny', MAX_CLONES: '2', PULL_SECRETS: 'true' },
    });

    assert.deepEqual(settings, { MAX_CLONES: '8', ON_ERROR: 'admit', PULL_SECRETS: 'true' });
    assert.deepEqual(kept, ['PULL_SECRETS']);
  });

  it('gives a setting its default again if the variable is set and empty', () => {
    const deployed = { ON_ERROR: 'admit', PULL_SECRETS: 'true' };

    const { settings, env, kept } = resolveSettings({ env: { ON_ERROR: ' ' }, deployed });

    assert.deepEqual(settings, { PULL_SECRETS: 'true' });
    assert.equal(env['ON_ERROR'], undefined);
    assert.deepEqual(kept, ['PULL_SECRETS']);
  });

  it('passes what is deployed on to the parsers of the environment', () => {
    const { env } = resolveSettings({
      env: { HOME: '/root', REGISTRY: 'new.example.com' },
      deployed: { REGISTRY: 'old.example.com', WIRING: 'direct' },
    });

    assert.equal(env['HOME'], '/root');
    assert.equal(env['REGISTRY'], 'new.example.com');
    assert.equal(env['WIRING'], 'direct');
  });

  const ofThisMachine = [
    'REGISTRY_AUTH_DIR',
    'DOCKER_HOST',
    'DOCKER_CONFIG',
    'OUT_DIR',
    'KEEP_CA_KEY',
    'PORT',
    'LOG_LEVEL',
    'LOG_FORMAT',
    'NAME',
    'NAMESPACE',
  ];
  for (const name of ofThisMachine) {
    it(`neither records nor inherits ${name}`, () => {
      const { settings } = resolveSettings({ env: { [name]: 'here' } });
      const { env } = resolveSettings({ env: {}, deployed: { [name]: 'there' } });

      assert.deepEqual(settings, {});
      assert.equal(env[name], undefined);
    });
  }

  it('uses a variable of this machine from the settings file', () => {
    const { env, settings } = resolveSettings({ env: {}, file: { OUT_DIR: 'elsewhere' } });

    assert.equal(env['OUT_DIR'], 'elsewhere');
    assert.deepEqual(settings, {});
  });

  it('takes proxies of the pods from the settings file only', () => {
    const fromEnv = resolveSettings({ env: { HTTPS_PROXY: 'http://here.example.com:3128' } });
    const fromFile = resolveSettings({
      env: { HTTPS_PROXY: 'http://here.example.com:3128' },
      file: { HTTPS_PROXY: 'http://proxy.corp:3128', NO_PROXY: '.corp' },
    });

    assert.deepEqual(fromEnv.settings, {});
    assert.deepEqual(fromFile.settings, {
      HTTPS_PROXY: 'http://proxy.corp:3128',
      NO_PROXY: '.corp',
    });
    assert.equal(fromFile.env['HTTPS_PROXY'], 'http://here.example.com:3128');
  });

  for (const url of ['http://acme:hunter2@proxy.corp:3128', 'acme:hunter2@proxy.corp:3128']) {
    it(`refuses a proxy with a password without printing it, as in ${url.split('acme')[0]}user:password@host`, () => {
      assert.throws(
        () => resolveSettings({ env: {}, file: { HTTPS_PROXY: url } }),
        ({ problems }: { problems: readonly string[] }) => {
          assert.equal(problems.length, 1);
          assert.match(problems[0] ?? '', /^settings file: HTTPS_PROXY has a password/);
          assert.doesNotMatch(problems[0] ?? '', /hunter2/);
          return true;
        },
      );
    });
  }

  it('refuses every unknown name of a settings file, with the nearest known one', () => {
    assert.throws(() => resolveSettings({ env: {}, file: { ON_EROR: 'admit', COLOUR: 'red' } }), {
      problems: [
        'settings file: ON_EROR is not known; did you mean ON_ERROR?',
        'settings file: COLOUR is not known',
      ],
    });
  });
});

describe('diffSettings', () => {
  it('lists settings that are new, changed or removed, by name', () => {
    assert.deepEqual(
      diffSettings(
        { ON_ERROR: 'deny', MAX_CLONES: '8', REGISTRY: 'same' },
        { ON_ERROR: 'admit', REGISTRY: 'same', WIRING: 'direct' },
      ),
      [
        { name: 'MAX_CLONES', from: '8' },
        { name: 'ON_ERROR', from: 'deny', to: 'admit' },
        { name: 'WIRING', to: 'direct' },
      ],
    );
  });
});

describe('describeChange', () => {
  const cases = [
    { change: { name: 'ON_ERROR', from: 'admit', to: 'deny' }, text: 'ON_ERROR admit → deny' },
    { change: { name: 'ON_ERROR', to: 'admit' }, text: 'ON_ERROR deny → admit' },
    { change: { name: 'MAX_CLONES', from: '8' }, text: 'MAX_CLONES 8 → 4 (default)' },
    {
      change: { name: 'IMAGE', to: 'a.example.com/b:1' },
      text: 'IMAGE not set → a.example.com/b:1',
    },
    {
      change: { name: 'BACKUP_PULL_SECRET', from: 'regcred' },
      text: 'BACKUP_PULL_SECRET regcred → not set (default)',
    },
  ];
  for (const { change, text } of cases) {
    it(`describes a changed setting as ${text}`, () => {
      assert.equal(describeChange(change), text);
    });
  }
});

describe('isRemoval', () => {
  const cases = [
    { change: { name: 'PULL_SECRETS', from: 'true' }, expected: true },
    { change: { name: 'WORKLOADS', from: 'pods, jobs', to: 'pods' }, expected: true },
    { change: { name: 'WORKLOADS', from: 'pods,jobs', to: 'jobs pods cronjobs' }, expected: false },
    { change: { name: 'ON_ERROR', from: 'admit', to: 'deny' }, expected: false },
    { change: { name: 'ON_ERROR', to: 'admit' }, expected: false },
  ];
  for (const { change, expected } of cases) {
    it(`${expected ? 'asks' : 'does not ask'} before ${JSON.stringify(change)}`, () => {
      assert.equal(isRemoval(change), expected);
    });
  }
});
