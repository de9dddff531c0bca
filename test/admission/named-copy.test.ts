import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ReviewPolicy } from '../../lib/admission/policy.ts';
import type { AdmissionReview } from '../../lib/admission/review.ts';
import { createCopies } from '../../lib/cloner/queue/index.ts';
import { createAdmissionHandler } from '../../lib/create-admission-handler.ts';
import { CloneError } from '../../lib/errors.ts';
import { createFakeCloner, type FakeCloner } from '../support/fake-cloner.ts';
import { deployment, firstImage, patchOf, policy, replaced, review } from '../support/reviews.ts';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'b'.repeat(64)}`;
const down = new CloneError('BACKUP_UNAVAILABLE', 'the backup registry docker.io is down');
const gone = new CloneError('SOURCE_NOT_FOUND', 'quay.io has no such image');
const key = '/metadata/annotations/image-cloner~1original-images';

interface Stage {
  readonly cloner: FakeCloner;
  /** Reviews an update of a rewritten Deployment, whose original is recorded. */
  edit(image: string, options?: EditOptions): Promise<AdmissionReview>;
  create(image: string, original: string): Promise<AdmissionReview>;
}

interface EditOptions {
  readonly old?: string;
  readonly original?: string;
}

function stage(change: Partial<ReviewPolicy> = {}): Stage {
  const cloner = createFakeCloner();
  const handle = createAdmissionHandler({
    cloner,
    copies: createCopies({ now: () => 0 }),
    now: () => 0,
    wallClock: () => 0,
    policy: policy(change),
  });
  const options = { signal: new AbortController().signal, budgetMs: 9_000 };
  return {
    cloner,
    edit: (image, { old = 'acme/web:1', original = 'quay.io/team/web:1' } = {}) =>
      handle(
        review({
          object: deployment({ web: image }, { annotations: record(original) }),
          oldObject: deployment({ web: old }, { annotations: record(original) }),
        }),
        options,
      ),
    create: (image, original) =>
      handle(
        review({ object: deployment({ web: image }, { annotations: record(original) }) }),
        options,
      ),
  };
}

function record(original: string): Readonly<Record<string, string>> {
  return { 'image-cloner/original-images': `{"containers/web":"${original}"}` };
}

const copy = 'acme/quay.io__team__web';

describe('an update that edits the tag of a copy', () => {
  it('is admitted without a question to the source if the backup holds the tag', async () => {
    const { cloner, edit } = stage();
    cloner.put(`${copy}:2`, B);

    const answer = await edit(`${copy}:2`, { old: `${copy}:1` });

    assert.equal(answer.response.allowed, true);
    assert.deepEqual(patchOf(answer), [
      { op: 'add', path: key, value: '{"containers/web":"quay.io/team/web:2"}' },
    ]);
    assert.deepEqual(cloner.resolved, [`docker.io/${copy}:2`]);
  });

  it('is admitted for a digest that the backup holds', async () => {
    const { cloner, edit } = stage();
    cloner.put(`${copy}@${B}`, B);

    const answer = await edit(`${copy}@${B}`, { old: `${copy}:1` });

    assert.deepEqual(patchOf(answer), [
      ...replaced(firstImage, `${copy}@${B}`, `${copy}:1@${B}`),
      { op: 'add', path: key, value: `{"containers/web":"quay.io/team/web:1@${B}"}` },
    ]);
  });

  it('copies the same change of the original if the backup does not hold the tag', async () => {
    const { cloner, edit } = stage();
    cloner.put('quay.io/team/web:2', B);

    const answer = await edit(`${copy}:2`, { old: `${copy}:1` });

    assert.deepEqual(patchOf(answer), [
      { op: 'add', path: key, value: '{"containers/web":"quay.io/team/web:2"}' },
    ]);
    assert.equal(cloner.tags(copy)['2'], B);
  });

  it('is admitted with a warning if neither registry has the tag', async () => {
    const { edit } = stage();

    const { response } = await edit(`${copy}:77`, { old: `${copy}:1` });

    assert.equal(response.allowed, true);
    assert.equal(response.patch, undefined);
    assert.match(response.warnings?.join() ?? '', /^not in the backup: .*does not exist/);
  });

  it('is admitted with a warning if the backup is down', async () => {
    const { cloner, edit } = stage();
    cloner.fail('docker.io', down);

    const { response } = await edit(`${copy}:2`, { old: `${copy}:1` });

    assert.equal(response.allowed, true);
    assert.match(response.warnings?.join() ?? '', /^not in the backup: the backup registry/);
    assert.deepEqual(cloner.begun, []);
  });

  it('copies nothing from a registry that SOURCE_REGISTRIES does not list', async () => {
    const { cloner, edit } = stage({ sourceRegistries: ['docker.io'] });
    cloner.put('quay.io/team/web:2', B);

    const { response } = await edit(`${copy}:2`, { old: `${copy}:1` });

    assert.equal(response.allowed, true);
    assert.match(response.warnings?.join() ?? '', /SOURCE_REGISTRIES does not list quay\.io/);
    assert.deepEqual(cloner.begun, []);
  });

  it('follows a second edit, although the first one was not recorded', async () => {
    const { cloner, edit } = stage();
    cloner.put('quay.io/team/web:3', B);

    const answer = await edit(`${copy}:3`, { old: `${copy}:77` });

    assert.deepEqual(patchOf(answer), [
      { op: 'add', path: key, value: '{"containers/web":"quay.io/team/web:3"}' },
    ]);
  });

  it('is no edit if the record is that of another image', async () => {
    const { cloner, edit } = stage();

    const { response } = await edit(`${copy}:2`, {
      old: `${copy}:1`,
      original: 'quay.io/secret/plans:1',
    });

    assert.deepEqual(response, { uid: response.uid, allowed: true });
    assert.deepEqual(cloner.resolved, []);
  });
});

describe('a copy in a former backup', () => {
  const formerBackups = [{ domain: 'old.example.com', namespace: 'backups' }];
  const former = 'old.example.com/backups/quay.io__team__web:1';
  const nested = 'old.example.com/backups/quay.io/team/web:1';

  for (const image of [former, nested]) {
    it(`${image} is reviewed as its recorded original`, async () => {
      const { cloner, create } = stage({ formerBackups });
      cloner.put('quay.io/team/web:1', A);

      const answer = await create(image, 'quay.io/team/web:1');

      assert.deepEqual(patchOf(answer), replaced(firstImage, image, `${copy}:1`));
      assert.equal(cloner.tags(copy)['1'], A);
    });
  }

  it('is found in any namespace of a former registry without a namespace', async () => {
    const { cloner, create } = stage({ formerBackups: [{ domain: 'old.example.com' }] });
    cloner.put('quay.io/team/web:1', A);

    const answer = await create(former, 'quay.io/team/web:1');

    assert.deepEqual(patchOf(answer), replaced(firstImage, former, `${copy}:1`));
  });

  it('is the source of last resort if the original is gone', async () => {
    const { cloner, create } = stage({ formerBackups });
    cloner.fail('quay.io', gone);
    cloner.put(former, A);

    const answer = await create(former, 'quay.io/team/web:1');

    assert.deepEqual(patchOf(answer), replaced(firstImage, former, `${copy}:1`));
    assert.equal(cloner.tags(copy)['1'], A);
    assert.match(answer.response.warnings?.join() ?? '', /copied from a former backup/);
  });

  it('refuses in the words of the original if the former backup has no copy either', async () => {
    const { cloner, create } = stage({ formerBackups });
    cloner.fail('quay.io', gone);

    const { response } = await create(former, 'quay.io/team/web:1');

    assert.equal(response.allowed, false);
    assert.match(response.status?.message ?? '', /quay\.io has no such image/);
  });

  it('is no way around SOURCE_REGISTRIES', async () => {
    const { create } = stage({ formerBackups, sourceRegistries: ['old.example.com'] });

    const { response } = await create(former, 'quay.io/team/web:1');

    assert.equal(response.allowed, false);
    assert.match(response.status?.message ?? '', /SOURCE_REGISTRIES does not list quay\.io/);
  });

  it('is an ordinary image if the record is not that of its name', async () => {
    const { cloner, create } = stage({ formerBackups });
    cloner.put(former, A);

    await create(former, 'quay.io/other/web:1');

    const [begun = ''] = cloner.begun;
    assert.match(
      begun,
      /^old\.example\.com\/backups\/quay\.io__team__web@.* -> acme\/old\.example\.com__/,
    );
  });
});
