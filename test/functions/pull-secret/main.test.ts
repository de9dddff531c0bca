import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { entranceCommand } from '../../support/entrance-command.ts';

const run = promisify(execFile);

describe('functions/pull-secret/main.ts', () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'pull-secret-'));
    await writeFile(join(dir, 'username'), 'acme\n');
    await writeFile(join(dir, 'password'), 'pä"ss:1\n');
  });
  after(async () => {
    await rm(dir, { recursive: true });
  });

  function write(env: Readonly<Record<string, string>>): ReturnType<typeof run> {
    const command = entranceCommand('pull-secret');
    return run(process.execPath, command.args, {
      env: { ...command.env, REGISTRY_AUTH_DIR: dir, ...env },
    });
  }

  const registries = [
    ['reg.test:5000/team', 'reg.test:5000'],
    ['docker.io', 'https://index.docker.io/v1/'],
  ] as const;
  for (const [registry, key] of registries) {
    it(`just pull-secret writes a pull secret for ${registry}`, async () => {
      const { stdout } = await write({ REGISTRY: registry, BACKUP_PULL_SECRET: 'backup' });

      assert.deepEqual(parseAllDocuments(String(stdout)).at(-1)?.toJS(), {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'backup' },
        type: 'kubernetes.io/dockerconfigjson',
        stringData: {
          // base64 of acme:pä"ss:1
          '.dockerconfigjson': `{"auths":{"${key}":{"auth":"YWNtZTpww6Qic3M6MQ=="}}}`,
        },
      });
    });
  }

  it('just pull-secret writes the Role and RoleBinding of this installation without BACKUP_PULL_SECRET', async () => {
    const { stdout } = await write({ REGISTRY: 'reg.test', NAMESPACE: 'tools' });

    const objects = parseAllDocuments(String(stdout));
    assert.deepEqual(
      objects.map((object) => object.get('kind')),
      ['Role', 'RoleBinding'],
    );
    const subjects: unknown = objects[1]?.toJS();
    assert.partialDeepStrictEqual(subjects, {
      subjects: [
        { kind: 'ServiceAccount', name: 'image-cloner', namespace: 'tools' },
        { kind: 'ServiceAccount', name: 'image-cloner-verify', namespace: 'tools' },
      ],
    });
  });

  it('just pull-secret exits with 2 and writes nothing when the credentials are missing', async () => {
    const env = {
      REGISTRY: 'reg.test',
      BACKUP_PULL_SECRET: 'backup',
      REGISTRY_AUTH_DIR: '/nowhere',
    };

    await assert.rejects(write(env), { code: 2, stdout: '' });
  });

  it('just pull-secret writes no Secret from the identity of a cloud, which has no lasting password', async () => {
    const env = {
      REGISTRY: 'europe-west3-docker.pkg.dev',
      REGISTRY_NAMESPACE: 'project/backups',
      REGISTRY_AUTH: 'gar',
      REGISTRY_AUTH_DIR: '',
      BACKUP_PULL_SECRET: 'backup',
    };

    await assert.rejects(write(env), {
      code: 2,
      stdout: '',
      stderr:
        'Note: no cluster is configured: set KUBECONFIG to a file with a current context: only the environment counts\npull-secret: BACKUP_PULL_SECRET needs REGISTRY_AUTH=file: with REGISTRY_AUTH=gar there is no lasting password; let the nodes pull with their own role, and unset BACKUP_PULL_SECRET\n',
    });
  });
});
