import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  readChosenEnv,
  withoutPodValues,
} from '../../../../functions/shared/settings/command-env.ts';

describe('readChosenEnv', () => {
  it('asks no cluster without --installation', async () => {
    const env = { REGISTRY: 'registry.example.com', KUBECONFIG: '/none' };

    assert.equal(await readChosenEnv({ ...noArguments, values: new Map() }, env), env);
  });

  for (const text of ['/', 'a/', '/b', 'a/b/c']) {
    it(`refuses --installation=${text}`, async () => {
      const args = { ...noArguments, values: new Map([['installation', text]]) };

      await assert.rejects(readChosenEnv(args, {}), {
        problems: [`--installation must be NAMESPACE/NAME, not "${text}"`],
      });
    });
  }

  it('reports wrong arguments together with a cluster that is not configured', async () => {
    const values = new Map([['installation', 'tools/cloner']]);
    const args = { ...noArguments, values, problems: ['unknown flag --x'] };

    await assert.rejects(readChosenEnv(args, { KUBECONFIG: '/none' }), {
      problems: [
        'unknown flag --x',
        'no cluster is configured: set KUBECONFIG to a file with a current context',
      ],
    });
  });
});

describe('withoutPodValues', () => {
  it('keeps paths and the identity of this machine, and inherits everything else', () => {
    const resolved = {
      REGISTRY: 'registry.example.com',
      REGISTRY_AUTH: 'ecr',
      SOURCE_AUTH_FILE: '/files/config.json',
      REGISTRY_CA_FILE: '/files/ca.crt',
    };

    assert.deepEqual(withoutPodValues(resolved, { REGISTRY_CA_FILE: '/etc/ca.crt' }), {
      REGISTRY: 'registry.example.com',
      REGISTRY_AUTH: undefined,
      SOURCE_AUTH_FILE: undefined,
      REGISTRY_CA_FILE: '/etc/ca.crt',
    });
  });
});

const noArguments = { switches: new Set<string>(), positionals: [], problems: [] };
