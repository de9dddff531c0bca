import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CloneError, createAdmissionHandler } from '../../lib/index.ts';
import type { ImageCloner, WorkloadSecrets } from '../../lib/ports/index.ts';
import { createFakeCloner } from '../support/fake-cloner.ts';
import { deployment, policy, review } from '../support/reviews.ts';

const flux = 'system:serviceaccount:flux-system:flux';

/** Each namespace's pull secret holds its name; the registry shows `evil` the manifest and denies it the layers. */
const workloadSecrets: WorkloadSecrets = {
  keyring: ({ namespace }) =>
    Promise.resolve({
      keyring: { find: () => [{ username: namespace, password: 'x' }] },
      warnings: [],
    }),
  serviceAccountSecrets: () => Promise.resolve([]),
  hasSecret: () => Promise.resolve(true),
  forget: () => undefined,
};

describe('a namespace with rate-limited or revoked pull secrets', () => {
  it('rate-limited or revoked pull secrets of a namespace do not fail the copy of a public image for others', async () => {
    const fake = createFakeCloner();
    fake.put('nginx:1.27', `sha256:${'a'.repeat(64)}`);
    const limited = new CloneError('SOURCE_RATE_LIMITED', 'docker.io limits evil');
    const cloner: ImageCloner = {
      ...fake,
      async copy(request, signal, onProgress) {
        if (request.sourceAccess.credentials?.username === 'evil') throw limited;
        return await fake.copy(request, signal, onProgress);
      },
    };
    const handler = createAdmissionHandler({ cloner, workloadSecrets, policy: policy() });
    const send = async (namespace: string, username?: string): Promise<boolean> => {
      const { response } = await handler(
        review({
          namespace,
          object: deployment({ web: 'nginx:1.27' }),
          ...(username !== undefined && { username }),
        }),
        { signal: new AbortController().signal, budgetMs: 9_000 },
      );
      return response.allowed;
    };

    assert.deepEqual(await Promise.all([send('evil'), send('shop')]), [false, true]);
    fake.remove('acme/nginx');
    assert.equal(await send('evil'), false);
    assert.equal(await send('shop', flux), true);
  });
});
