import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLazyCloner } from '../../../../functions/shared/adapters/open-cloner.ts';
import type { RegistryCloner } from '../../../../lib/adapters/registry/index.ts';

const digest = `sha256:${'d'.repeat(64)}`;
const image = { domain: 'registry.example.com', path: 'acme/nginx', tag: '1' };
const { signal } = new AbortController();

describe('createLazyCloner', () => {
  const opened: RegistryCloner = {
    resolve: () => Promise.resolve({ digest, isIndex: false }),
    copy: () => Promise.reject(new Error('not used')),
    findReferrers: () => Promise.reject(new Error('not used')),
    isComplete: () => Promise.resolve(false),
    mark: () => Promise.resolve(),
    listTags: () => Promise.resolve(['1']),
  };

  it('opens the cloner at its first use, once', async () => {
    let opens = 0;
    const { cloner } = createLazyCloner(() => {
      opens += 1;
      return Promise.resolve(opened);
    });
    assert.equal(opens, 0);

    const answers = await Promise.all([
      cloner.resolve(image, { side: 'source' }, signal),
      cloner.listTags?.(image, { side: 'backup' }, signal),
    ]);

    assert.deepEqual(answers, [{ digest, isIndex: false }, ['1']]);
    assert.equal(opens, 1);
  });

  it('does not open again a cloner that was loaded before its first use', async () => {
    let opens = 0;
    const { cloner, load } = createLazyCloner(() => {
      opens += 1;
      return Promise.resolve(opened);
    });

    await load();
    await cloner.resolve(image, { side: 'source' }, signal);

    assert.equal(opens, 1);
  });
});
