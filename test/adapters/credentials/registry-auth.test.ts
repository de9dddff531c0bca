import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openRegistryAuth } from '../../../lib/adapters/credentials/registry-auth.ts';
import { ConfigError } from '../../../lib/errors.ts';
import type { Credentials } from '../../../lib/index.ts';
import { createMemoryLog, type MemoryLog } from '../../support/memory-log.ts';

describe('openRegistryAuth', () => {
  let dir: string;
  let log: MemoryLog;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'auth-'));
    log = createMemoryLog();
  });
  afterEach(async () => {
    await rm(dir, { recursive: true });
  });

  function open(domain = 'reg.test'): Promise<() => Promise<Credentials>> {
    return openRegistryAuth({ dir, registry: { domain, path: 'acme' }, logger: log.logger });
  }

  async function write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  }

  /** Mounts a Secret as the kubelet does: files are links into `..data`, itself a link that is renamed into place. */
  async function mount(version: string, files: Readonly<Record<string, string>>): Promise<void> {
    await mkdir(join(dir, version));
    for (const [name, text] of Object.entries(files)) {
      await writeFile(join(dir, version, name), text);
    }
    await symlink(version, join(dir, '..data_tmp'));
    await rename(join(dir, '..data_tmp'), join(dir, '..data'));
  }

  it('reads username and password of registry-auth without a trailing newline', async () => {
    await write({ username: 'acme\n', password: ' pa"ss\\+/wörd \r\n' });

    assert.deepEqual(await (await open())(), { username: 'acme', password: ' pa"ss\\+/wörd ' });
  });

  it('reads the entry of the backup registry from .dockerconfigjson', async () => {
    const auths = { 'other.test': { auth: 'eDp5' }, 'reg.test': { auth: 'YWNtZTpzZWNyZXQ=' } };
    await write({ '.dockerconfigjson': JSON.stringify({ auths }) });

    assert.deepEqual(await (await open())(), { username: 'acme', password: 'secret' });
  });

  const paths = [
    ['the host', 'reg.test', undefined],
    ['the host and the path of REGISTRY', 'reg.test/acme', undefined],
    ['the host and the namespace', 'reg.test/acme/backups', 'backups'],
    ['the host and the namespace with a slash', 'reg.test/acme/backups/', 'backups'],
    ['a URL with the namespace', 'https://reg.test/acme/backups', 'backups'],
  ] as const;
  for (const [what, key, namespace] of paths) {
    it(`reads the registry-auth entry of a .dockerconfigjson whose key is ${what}`, async () => {
      const auths = { [key]: { auth: 'YWNtZTpzZWNyZXQ=' } };
      await write({ '.dockerconfigjson': JSON.stringify({ auths }) });
      const registry = { domain: 'reg.test', path: 'acme', ...(namespace && { namespace }) };

      const read = await openRegistryAuth({ dir, registry, logger: log.logger });

      assert.deepEqual(await read(), { username: 'acme', password: 'secret' });
    });
  }

  it('does not read the registry-auth entry of a namespace with the same prefix', async () => {
    const auths = { 'reg.test/acme/back': { auth: 'YWNtZTpzZWNyZXQ=' } };
    await write({ '.dockerconfigjson': JSON.stringify({ auths }) });
    const registry = { domain: 'reg.test', path: 'acme', namespace: 'other' };

    await assert.rejects(openRegistryAuth({ dir, registry, logger: log.logger }), {
      name: 'ConfigError',
    });
  });

  it('reads both files of registry-auth from one version when the Secret is rotated', async () => {
    await mount('..1', { username: 'acme', password: 'old' });
    const read = await open();
    assert.deepEqual(await read(), { username: 'acme', password: 'old' });

    await mount('..2', { username: 'acme2', password: 'new' });

    assert.deepEqual(await read(), { username: 'acme2', password: 'new' });
  });

  it('keeps the last valid credentials when a file disappears, and logs it once', async () => {
    await write({ username: 'acme', password: 's3cret' });
    const read = await open();
    await rm(join(dir, 'password'));

    const reads = [await read(), await read()];

    assert.deepEqual(reads, [
      { username: 'acme', password: 's3cret' },
      { username: 'acme', password: 's3cret' },
    ]);
    assert.deepEqual(
      log.lines.map(({ level, message }) => [level, message]),
      [['warn', 'credentials cannot be read, the last valid ones stay in use']],
    );
    assert.ok(!JSON.stringify(log.lines).includes('s3cret'));
  });

  const problems: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
    ['no username', { password: 'p' }, 'username cannot be used: it does not exist'],
    ['no password', { username: 'u' }, 'password cannot be used: it does not exist'],
    [
      'an empty username',
      { username: '\n', password: 'p' },
      'username cannot be used: it is empty',
    ],
    [
      'a malformed .dockerconfigjson',
      { '.dockerconfigjson': 's3cret' },
      '.dockerconfigjson cannot be used: it is not a docker config.json with "auths"',
    ],
    [
      'a .dockerconfigjson for another registry',
      { '.dockerconfigjson': '{"auths":{"other.test":{"auth":"YTpi"}}}' },
      '.dockerconfigjson cannot be used: it has no credentials for reg.test',
    ],
  ];
  for (const [what, files, problem] of problems) {
    it(`rejects registry-auth with ${what} and names the file`, async () => {
      await write(files);

      await assert.rejects(open(), {
        name: 'ConfigError',
        message: `${join(dir, problem)}; mount the Secret registry-auth with username and password there`,
      });
    });
  }

  it('names both files of registry-auth if both are missing', async () => {
    await assert.rejects(open(), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.equal(error.problems.length, 2);
      assert.match(error.problems[0] ?? '', /username cannot be used: it does not exist/);
      assert.match(error.problems[1] ?? '', /password cannot be used: it does not exist/);
      return true;
    });
  });

  it('rejects a REGISTRY_AUTH_DIR that is a file or does not exist', async () => {
    await write({ plain: '' });
    for (const wrong of [join(dir, 'plain'), join(dir, 'nothing')]) {
      const registry = { domain: 'reg.test', path: '' };

      await assert.rejects(openRegistryAuth({ dir: wrong, registry, logger: log.logger }), {
        name: 'ConfigError',
      });
    }
  });
});
