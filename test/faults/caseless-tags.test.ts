import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { caselessTags, makeImage, seed } from '../../lib/memory-registry/index.ts';
import { openScene, type Scene } from './scene.ts';

const image = makeImage({ seed: 'alpine' });
const other = makeImage({ seed: 'Alpine' });
const clash =
  /in the backup belongs to a tag that differs only in case, which the registry does not distinguish: use another tag, or another registry for the backup$/;

let scene: Scene;
beforeEach(async () => {
  scene = await openScene();
  seed(scene.source, 'app:v1-alpine', image);
  seed(scene.source, 'app:v1-Alpine', other);
});
afterEach(async () => {
  await scene.close();
});

function held(tag: string): string | undefined {
  const [path = ''] = scene.backup.store.repositories();
  return scene.backup.store.manifest(path, tag)?.digest;
}

describe('a backup whose tags have no case', () => {
  beforeEach(() => {
    scene.backup.faults.add(() => true, caselessTags());
  });

  it('refuses a tag with capitals when a backup whose tags have no case has another spelling', async () => {
    assert.equal((await scene.apply('app:v1-alpine')).allowed, true);

    assert.match((await scene.apply('app:v1-Alpine')).message ?? '', clash);
    assert.equal(held('v1-alpine'), image.digest);
  });

  it('refuses a tag in lower case when a backup whose tags have no case has another spelling', async () => {
    assert.equal((await scene.apply('app:v1-Alpine')).allowed, true);

    assert.match((await scene.apply('app:v1-alpine')).message ?? '', clash);
    assert.equal(held('v1-alpine'), other.digest);
  });

  for (const [written, asked] of [
    ['v1-alpine', 'v1-Alpine'],
    ['v1-Alpine', 'v1-alpine'],
  ] as const) {
    it(`does not use the copy of ${written} for ${asked} when the source is gone and tags have no case`, async () => {
      await scene.apply(`app:${written}`);
      await scene.source.close();

      const { allowed, message } = await scene.apply(`app:${asked}`);

      assert.equal(allowed, false);
      assert.match(message ?? '', /may be a tag that differs only in case: not used$/);
    });
  }

  it('a backup whose tags have no case gets new copies of a tag with capitals, and serves it when the source is gone', async () => {
    await scene.apply('app:v1-Alpine');
    seed(scene.source, 'app:v1-Alpine', image);
    scene.restart();

    assert.equal((await scene.apply('app:v1-Alpine')).message, undefined);
    assert.equal(held('v1-alpine'), image.digest);
    await scene.source.close();
    assert.equal((await scene.apply('app:v1-Alpine')).allowed, true);
  });
});

describe('a backup whose tags have case', () => {
  it('a backup whose tags have case gets both spellings of a tag, and no record of them', async () => {
    assert.equal((await scene.apply('app:v1-Alpine')).message, undefined);
    assert.equal((await scene.apply('app:v1-alpine')).message, undefined);

    assert.deepEqual([held('v1-Alpine'), held('v1-alpine')], [other.digest, image.digest]);
    const [path = ''] = scene.backup.store.repositories();
    assert.ok(!scene.backup.store.tags(path).some((tag) => tag.includes('.case.')));
  });
});
