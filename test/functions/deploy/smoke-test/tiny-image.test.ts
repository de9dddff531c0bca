import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pushTinyImage } from '../../../../functions/deploy/smoke-test/tiny-image.ts';
import { toDockerConfig } from '../../../../lib/install/pull-secret.ts';
import {
  createMemoryRegistry,
  serveMemoryRegistry,
} from '../../../../lib/memory-registry/index.ts';
import { walk } from '../../../adapters/registry/bench.ts';
import { parseDeployEnv } from '../../../support/deploy-settings.ts';

/** Variables of the pod that are only valid together with those of the manifests. */
const deployed = {
  IMAGE: 'registry.example.com/tools/image-cloner:1',
  CLONER: 'registry',
  PULL_SECRETS: 'true',
  BACKUP_PULL_SECRET: 'backup-pull',
};
const acme = { username: 'acme', password: 'pa:ss' };

describe('pushTinyImage', () => {
  it('pushes a test image for every platform into the backup with the credentials of the webhook', async () => {
    const backup = createMemoryRegistry({ auth: { scheme: 'basic', users: { acme: 'pa:ss' } } });
    const served = await serveMemoryRegistry({ registry: backup });
    const settings = parseDeployEnv({
      ...deployed,
      REGISTRY: `${served.host}/mirror`,
      INSECURE_REGISTRIES: served.host,
    });

    const image = await pushTinyImage(settings, toDockerConfig(served.host, acme));
    await served.close();

    assert.equal(image, `${served.host}/mirror/acme/image-cloner-probe:1`);
    const parts = [...walk(backup, 'mirror/acme/image-cloner-probe', '1').keys()];
    assert.equal(parts.filter((part) => part.startsWith('manifest ')).length, 6);
  });

  it('rejects with the error of the backup when it rejects the test image', async () => {
    const backup = createMemoryRegistry({ auth: { scheme: 'basic', users: { acme: 'other' } } });
    const served = await serveMemoryRegistry({ registry: backup });
    const settings = parseDeployEnv({ ...deployed, REGISTRY: served.host });

    await assert.rejects(pushTinyImage(settings, toDockerConfig(served.host, acme)), {
      name: 'CloneError',
      code: 'BACKUP_DENIED',
    });
    await served.close();
  });
});
