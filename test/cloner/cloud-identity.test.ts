import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createCheckSource } from '../../lib/cloner/source/check-source.ts';
import { createAdmissionHandler } from '../../lib/create-admission-handler.ts';
import { CloneError } from '../../lib/errors.ts';
import type { WaitLimit } from '../../lib/ports/index.ts';
import { createFakeCloner } from '../support/fake-cloner.ts';
import { deployment, policy, review } from '../support/reviews.ts';

/** What the policy does with an identity that gives no credentials; `adapters/cloud` tests the identity itself. */
describe('the identity of a cloud in a review', () => {
  const { signal } = new AbortController();
  const image = { domain: 'reg.test', path: 'team/app', tag: '1' };

  it('limits a cloud identity for the backup to the time of the review, and refuses with its failure', async () => {
    const waits: (number | undefined)[] = [];
    const cloner = createFakeCloner({ keepsDigest: true });
    cloner.put('nginx:1.27', `sha256:${'a'.repeat(64)}`);
    const handler = createAdmissionHandler({
      cloner,
      now: () => 0,
      policy: policy(),
      backupCredentials: (within) => {
        waits.push(within?.ms);
        throw new CloneError('BACKUP_DENIED', 'no credentials for the backup registry reg.test');
      },
    });

    const answer = await handler(review({ object: deployment({ web: 'nginx:1.27' }) }), {
      signal,
      budgetMs: 9_000,
    });

    assert.deepEqual(waits, [9_000]);
    assert.equal(answer.response.allowed, false);
    assert.match(String(answer.response.status?.message), /no credentials for the backup registry/);
  });

  for (const [hasBackup, ms] of [
    [false, 4_500],
    [true, 2_000],
  ] as const) {
    it(`limits a cloud identity to ${ms} of 9000 ms for a source ${hasBackup ? 'with' : 'without'} a backup, and sends no anonymous request`, async () => {
      const waits: WaitLimit[] = [];
      const check = createCheckSource({
        cloner: {
          resolve: () => assert.fail('no request follows'),
          copy: () => assert.fail('a check copies nothing'),
        },
        credentials: {
          async credentialsFor(_, within) {
            if (within !== undefined) waits.push(within);
            throw new CloneError('SOURCE_DENIED', 'no credentials for reg.test');
          },
        },
        now: () => 0,
      });

      await assert.rejects(check(image, { budgetMs: 9_000, hasBackup, signal }), {
        code: 'SOURCE_DENIED',
        message: 'no credentials for reg.test',
      });
      assert.deepEqual(
        waits.map((within) => within.ms),
        [ms],
      );
    });
  }
});
