import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createCopies } from '../../lib/cloner/queue/copies.ts';
import { createAdmissionHandler } from '../../lib/index.ts';
import type { ImageCloner } from '../../lib/ports/index.ts';
import { createFakeCloner } from '../support/fake-cloner.ts';
import { deployment, policy, review } from '../support/reviews.ts';

describe('a namespace that applies thousands of images of a silent registry', () => {
  it('a namespace with a thousand open requests to a silent registry does not delay other namespaces', async () => {
    const fake = createFakeCloner();
    fake.put('nginx:1.27', `sha256:${'a'.repeat(64)}`);
    let [open, most] = [0, 0];
    const cloner: ImageCloner = {
      ...fake,
      async resolve(image, access, signal) {
        if (image.domain !== 'evil.example') return await fake.resolve(image, access, signal);
        open += 1;
        most = Math.max(most, open);
        const { promise, reject } = Promise.withResolvers<never>();
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        return await promise.finally(() => {
          open -= 1;
        });
      },
    };
    const handler = createAdmissionHandler({ cloner, policy: policy() });
    const leaving = new AbortController();
    const send = (namespace: string, images: Record<string, string>): ReturnType<typeof handler> =>
      handler(review({ namespace, object: deployment(images) }), {
        signal: leaving.signal,
        budgetMs: 20_000,
      });
    const evil = Array.from({ length: 10 }, (_, one) =>
      send(
        'evil',
        Object.fromEntries(
          Array.from({ length: 200 }, (_, n) => [`c${n}`, `evil.example/r${one}/a${n}:1`]),
        ),
      ),
    );

    const { response } = await send('shop', { web: 'nginx:1.27' });

    assert.deepEqual([response.allowed, response.status], [true, undefined]);
    assert.ok(most > 900 && most <= 1_000, String(most));
    leaving.abort();
    const [answer] = await Promise.all(evil);
    assert.equal(answer?.response.status?.code, 504);
    assert.equal(open, 0);
  });
});

describe('a namespace whose registry serves an endless image, with MAX_CLONES=1', () => {
  it('a copy of an endless image yields the only slot to another namespace after two minutes', async () => {
    const fake = createFakeCloner();
    fake.put('nginx:1.27', `sha256:${'a'.repeat(64)}`);
    fake.put('evil.example/endless:1', `sha256:${'e'.repeat(64)}`);
    let time = 0;
    const now = (): number => time;
    const cloner: ImageCloner = {
      ...fake,
      async copy(request, signal, onProgress) {
        if (request.source.domain !== 'evil.example')
          return await fake.copy(request, signal, onProgress);
        const { promise, reject } = Promise.withResolvers<never>();
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        return await promise;
      },
    };
    const copies = createCopies({ maxCopies: 1, now });
    const handler = createAdmissionHandler({ cloner, copies, policy: policy(), now });
    const apply = async (namespace: string, image: string): Promise<unknown> => {
      const { response } = await handler(
        review({ namespace, object: deployment({ web: image }) }),
        {
          signal: AbortSignal.timeout(10_000),
          budgetMs: 100,
        },
      );
      return response.status?.message ?? response.allowed;
    };
    const endless = 'container "web": still copying evil.example/endless:1: started';
    assert.equal(await apply('evil', 'evil.example/endless:1'), endless);
    const inLine = 'container "web": nginx:1.27 waits to be copied: next in the queue';
    assert.equal(await apply('shop', 'nginx:1.27'), inLine);

    time = 120_000;

    assert.equal(await apply('shop', 'nginx:1.27'), true);
    assert.equal(await apply('evil', 'evil.example/endless:1'), endless);
    copies.stop({ abort: true });
    await copies.idle();
  });
});
