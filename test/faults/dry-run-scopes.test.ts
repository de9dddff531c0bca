import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createAdmissionHandler } from '../../lib/index.ts';
import { makeImage, seed } from '../../lib/memory-registry/index.ts';
import { useBench } from '../adapters/registry/bench.ts';
import { deployment, policy, review } from '../support/reviews.ts';

const open = useBench();
const credentials = { username: 'robot', password: 'secret' };

describe('a dry run', () => {
  for (const [what, isCopied] of [
    ['a new image', false],
    ['a copied image whose tag moved', true],
  ] as const) {
    it(`asks for the right to pull only: ${what}`, async () => {
      const bench = await open({
        backup: { auth: { scheme: 'bearer', users: { robot: 'secret' } } },
      });
      seed(bench.source, 'app:1', makeImage({ seed: 'first' }));
      const handler = createAdmissionHandler({
        cloner: bench.cloner,
        policy: policy({
          backup: { domain: bench.backup.host, namespace: 'acme', naming: 'flat' },
        }),
        backupCredentials: () => Promise.resolve(credentials),
      });
      const apply = async (dryRun: boolean): Promise<boolean> => {
        const object = deployment({ web: `${bench.source.host}/app:1` });
        const call = { signal: new AbortController().signal, budgetMs: 5_000 };
        return (await handler(review({ object, dryRun }), call)).response.allowed;
      };
      if (isCopied) {
        assert.equal(await apply(false), true);
        seed(bench.source, 'app:1', makeImage({ seed: 'second' }));
      }
      bench.backup.requests.clear();

      assert.equal(await apply(true), true);

      const sent = bench.backup.requests.list();
      const scopes = sent
        .filter(({ path }) => path.startsWith('/token'))
        .flatMap(({ path }) => new URL(path, 'http://registry').searchParams.getAll('scope'));
      assert.deepEqual(
        scopes.filter((scope) => !scope.endsWith(':pull')),
        [],
      );
      assert.ok(sent.every(({ method }) => method === 'GET' || method === 'HEAD'));
    });
  }
});
