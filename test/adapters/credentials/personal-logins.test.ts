import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { runCredentialHelper } from '../../../lib/adapters/credentials/credential-helper.ts';
import { openPersonalLogins } from '../../../lib/adapters/credentials/personal-logins.ts';

const image = { domain: 'reg.test', path: 'team/app' };

describe('openPersonalLogins', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'logins-'));
  });
  afterEach(async () => {
    await rm(dir, { recursive: true });
  });

  const env = (): Readonly<Record<string, string>> => ({
    DOCKER_CONFIG: dir,
    PATH: `${dir}:${process.env['PATH'] ?? ''}`,
  });

  async function writeConfig(config: object): Promise<void> {
    await writeFile(join(dir, 'config.json'), JSON.stringify(config));
  }

  /** Writes a credential helper that records its arguments and its standard input. */
  async function writeHelper(name: string, answer: string): Promise<void> {
    const log = join(dir, 'asked');
    const script = `#!/bin/sh\nread -r host\necho "$1 $host" >> ${log}\n${answer}\n`;
    await writeFile(join(dir, `docker-credential-${name}`), script, { mode: 0o755 });
  }

  const asked = async (): Promise<string> => await readFile(join(dir, 'asked'), 'utf8');
  const gives = (username: string): string =>
    `echo '{"ServerURL":"x","Username":"${username}","Secret":"secret"}'`;

  it('reads a login from DOCKER_CONFIG', async () => {
    await writeConfig({ auths: { 'reg.test': { auth: 'bWU6c2VjcmV0' } } });

    const logins = await openPersonalLogins({ env: env() });

    assert.deepEqual(await logins?.find(image), { username: 'me', password: 'secret' });
    assert.equal(await logins?.find({ domain: 'other.test', path: 'a' }), undefined);
  });

  it('finds no personal logins where docker has no config.json', async () => {
    assert.equal(await openPersonalLogins({ env: { HOME: dir } }), undefined);
    assert.equal(await openPersonalLogins({ env: {} }), undefined);
  });

  it('asks the helper of a registry once in five minutes, for that one host on standard input', async () => {
    await writeConfig({ credsStore: 'other', credHelpers: { 'reg.test': 'mine' } });
    await writeHelper('mine', gives('me'));
    let time = 0;

    const logins = await openPersonalLogins({ env: env(), now: () => time });
    await logins?.find(image);
    time = 299_999;
    const found = await logins?.find(image);
    const before = await asked();
    time = 300_000;
    await logins?.find(image);

    assert.deepEqual(found, { username: 'me', password: 'secret' });
    assert.equal(before, 'get reg.test\n');
    assert.equal(await asked(), 'get reg.test\nget reg.test\n');
  });

  it("asks credsStore for Docker Hub by docker's own key", async () => {
    await writeConfig({ credsStore: 'store' });
    await writeHelper('store', gives('me'));

    const logins = await openPersonalLogins({ env: env() });
    await logins?.find({ domain: 'docker.io', path: 'library/nginx' });

    assert.equal(await asked(), 'get https://index.docker.io/v1/\n');
  });

  it('uses auths if the credential helper has no login', async () => {
    await writeConfig({ credsStore: 'store', auths: { 'reg.test': { auth: 'bWU6c2VjcmV0' } } });
    await writeHelper('store', 'echo "credentials not found in native keychain"; exit 1');

    const logins = await openPersonalLogins({ env: env() });

    assert.equal((await logins?.find(image))?.username, 'me');
  });

  it('reads an identity token from a helper', async () => {
    await writeConfig({ credHelpers: { 'acme.azurecr.io': 'acr' } });
    await writeHelper('acr', gives('<token>'));

    const logins = await openPersonalLogins({ env: env() });
    const found = await logins?.find({ domain: 'acme.azurecr.io', path: 'a' });

    assert.deepEqual(found, {
      username: '<token>',
      password: 'secret',
      isIdentityToken: true,
    });
  });

  const failures: readonly (readonly [answer: string, message: string])[] = [
    ['echo secret; exit 1', 'docker-credential-mine failed for reg.test'],
    ['echo secret', 'docker-credential-mine gave no credentials for reg.test'],
  ];
  for (const [answer, message] of failures) {
    it(`says "${message}", without the output of the helper`, async () => {
      await writeConfig({ credHelpers: { 'reg.test': 'mine' } });
      await writeHelper('mine', answer);
      const logins = await openPersonalLogins({ env: env() });

      await assert.rejects(logins?.find(image) ?? Promise.resolve(), { name: 'Error', message });
    });
  }

  it('says that a credential helper is not installed', async () => {
    await writeConfig({ credsStore: 'none' });
    const logins = await openPersonalLogins({ env: env() });

    await assert.rejects(logins?.find(image) ?? Promise.resolve(), {
      name: 'Error',
      message: 'docker-credential-none is not installed',
    });
  });

  it('ends a credential helper that does not answer', async () => {
    await writeHelper('slow', 'exec sleep 60');

    const run = runCredentialHelper({ name: 'slow', host: 'reg.test', env: env(), timeoutMs: 20 });

    await assert.rejects(run, {
      name: 'Error',
      message: 'docker-credential-slow did not answer within 0.02 s',
    });
  });

  for (const name of ['../evil', 'a b', 'A', 'a;b', '-']) {
    it(`${name === '-' ? 'accepts' : 'refuses'} a credential helper named ${JSON.stringify(name)}`, async () => {
      await writeConfig({ credHelpers: { 'reg.test': name } });

      const opened = openPersonalLogins({ env: env() });

      if (name === '-') assert.ok(await opened);
      else {
        await assert.rejects(opened, {
          name: 'ConfigError',
          message: `${join(dir, 'config.json')} cannot be used: the name of a credential helper may have only a-z, 0-9 and -; correct it, or set REGISTRY_AUTH_DIR`,
        });
      }
    });
  }

  it('says that config.json is no docker config, without its text', async () => {
    await writeFile(join(dir, 'config.json'), 'secret');

    await assert.rejects(openPersonalLogins({ env: env() }), {
      name: 'ConfigError',
      message: `${join(dir, 'config.json')} cannot be used: it is not a docker config.json; correct it, or set REGISTRY_AUTH_DIR`,
    });
  });
});
