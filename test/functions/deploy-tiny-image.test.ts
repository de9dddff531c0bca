import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pushTinyImage } from '../../functions/deploy/tiny-image.ts';
import { toDockerConfig } from '../../lib/install/pull-secret.ts';
import { createMemoryRegistry, serveMemoryRegistry } from '../../lib/memory-registry/index.ts';
import { walk } from '../adapters/registry/bench.ts';

const acme = { username: 'acme', password: 'pa:ss' };

describe('pushTinyImage', () => {
  it('puts an image for every platform into the backup, with the webhook’s credentials', async () => {
    const backup = createMemoryRegistry({ auth: { scheme: 'basic', users: { acme: 'pa:ss' } } });
    const served = await serveMemoryRegistry({ registry: backup });
    const env = new Map([
      ['REGISTRY', `${served.host}/mirror`],
      ['INSECURE_REGISTRIES', served.host],
    ]);

    const image = await pushTinyImage({ env, dockerConfig: toDockerConfig(served.host, acme) });
    await served.close();

    assert.equal(image, `${served.host}/mirror/acme/image-cloner-probe:1`);
    const parts = [...walk(backup, 'mirror/acme/image-cloner-probe', '1').keys()];
    assert.equal(parts.filter((part) => part.startsWith('manifest ')).length, 6);
  });

  it('says why the backup did not take it', async () => {
    const backup = createMemoryRegistry({ auth: { scheme: 'basic', users: { acme: 'other' } } });
    const served = await serveMemoryRegistry({ registry: backup });
    const env = new Map([['REGISTRY', served.host]]);

    await assert.rejects(pushTinyImage({ env, dockerConfig: toDockerConfig(served.host, acme) }), {
      name: 'CloneError',
      code: 'BACKUP_DENIED',
    });
    await served.close();
  });
});
