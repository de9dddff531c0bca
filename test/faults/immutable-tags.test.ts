import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { answer, makeImage, seed } from '../../lib/memory-registry/index.ts';
import { openScene, type Scene } from './scene.ts';

const first = makeImage({ seed: 'first' });
const second = makeImage({ seed: 'second' });
const third = makeImage({ seed: 'third' });

/** How registries refuse to move a tag. */
const refusals: readonly (readonly [string, number, string])[] = [
  ['ECR', 400, 'TAG_INVALID'],
  ['Harbor', 412, 'PRECONDITION'],
  ['zot', 403, 'DENIED'],
  ['a registry without a code', 409, ''],
  ['a registry that allows no writes of tags', 405, 'UNSUPPORTED'],
];

let scene: Scene | undefined;
/** The backup holds the first image, and does not let its tag move. */
async function open([, status, code] = refusals[0] ?? ['', 400, '']): Promise<Scene> {
  scene = await openScene();
  seed(scene.source, 'app:1', first);
  await scene.apply();
  const body = JSON.stringify({ errors: [{ code, message: 'the tag is immutable' }] });
  scene.backup.faults.add(
    ({ method, path }) => method === 'PUT' && path.endsWith('/manifests/1'),
    answer(status, { body }),
  );
  return scene;
}
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

function shortOf({ digest }: { readonly digest: string }): string {
  return digest.slice('sha256:'.length, 'sha256:'.length + 12);
}

/** The tags of the copy, with every time replaced by TIME. */
function tags({ backup }: Scene): readonly string[] {
  const [path = ''] = backup.store.repositories();
  return backup.store.tags(path).map((tag) => tag.replace(/\d{8}t\d{6}z/i, 'TIME'));
}

function imageOf({ patch }: { readonly patch: unknown }): string {
  return /"value":"[^"]*\/app-[0-9a-f]{12}:([^"]+)"/.exec(JSON.stringify(patch))?.[1] ?? '';
}

describe('a backup with immutable tags', () => {
  for (const refusal of refusals) {
    it(`copies the new generation and writes its digest when the backup does not let the tag move: ${refusal[0]}`, async () => {
      const scene = await open(refusal);
      seed(scene.source, 'app:1', second);

      const result = await scene.apply();

      assert.equal(result.message, undefined);
      assert.equal(imageOf(result), `1@${second.digest}`);
      assert.deepEqual(
        tags(scene),
        [
          '1',
          `1.${shortOf(first)}`,
          `1.${shortOf(second)}`,
          `1.moved.TIME.${shortOf(first)}`,
        ].toSorted(),
      );
      assert.match(
        result.warnings.join(),
        /^(public\.test\/|…)?app:1 is pinned to its digest, because its tag is immutable: /,
      );
    });
  }

  it('copies a pinned image without its plain tag if the backup does not let that tag be created', async () => {
    scene = await openScene();
    seed(scene.source, 'app:1', first);
    scene.backup.faults.add(
      ({ method, path }) => method === 'PUT' && path.endsWith('/manifests/1'),
      answer(403),
    );

    const result = await scene.apply(`app:1@${first.digest}`);

    assert.deepEqual([result.message, result.warnings], [undefined, []]);
    assert.equal(imageOf(result), `1@${first.digest}`);
    assert.deepEqual(tags(scene), [`1.${shortOf(first)}`]);
  });

  it('the next review of an immutable tag writes nothing and has no warning', async () => {
    const scene = await open();
    seed(scene.source, 'app:1', second);
    await scene.apply();
    scene.backup.requests.clear();

    const result = await scene.apply();

    assert.equal(imageOf(result), `1@${second.digest}`);
    assert.deepEqual(result.warnings, []);
    assert.deepEqual(scene.backup.requests.list({ method: 'PUT' }), []);
    assert.deepEqual(scene.backup.requests.list({ method: 'POST' }), []);
  });

  it('records the refused move of an immutable tag once, also after a restart', async () => {
    const scene = await open();
    seed(scene.source, 'app:1', second);
    await scene.apply();
    scene.restart();

    const result = await scene.apply();

    assert.equal(imageOf(result), `1@${second.digest}`);
    assert.equal(tags(scene).filter((tag) => tag.includes('.moved.')).length, 1);
  });

  it('uses the newest generation of an immutable tag when the source is gone', async () => {
    const scene = await open();
    seed(scene.source, 'app:1', second);
    await scene.apply();
    seed(scene.source, 'app:1', third);
    await scene.apply();
    scene.restart();
    await scene.source.close();

    const result = await scene.apply();

    assert.equal(imageOf(result), `1@${third.digest}`);
    assert.match(result.warnings.join(), /^using the backup/);
  });

  it('uses the image at which a rollback holds an immutable tag when the source is gone', async () => {
    const scene = await open();
    seed(scene.source, 'app:1', second);
    await scene.apply();
    const [path = ''] = scene.backup.store.repositories();
    scene.backup.store.putManifest(path, first, '1.hold');
    await scene.source.close();

    assert.equal(imageOf(await scene.apply()), '1');
  });

  it('moves the tag when the backup lets it move again', async () => {
    const scene = await open();
    seed(scene.source, 'app:1', second);
    await scene.apply();
    scene.backup.faults.clear();
    scene.restart();

    const result = await scene.apply();

    const [path = ''] = scene.backup.store.repositories();
    assert.equal(imageOf(result), '1');
    assert.equal(scene.backup.store.manifest(path, '1')?.digest, second.digest);
  });

  it('refuses an image whose new tag cannot be created, and names the tag', async () => {
    scene = await openScene();
    seed(scene.source, 'app:1', first);
    scene.backup.faults.add(
      ({ method, path }) => method === 'PUT' && path.endsWith('/manifests/1'),
      answer(400),
    );

    const { message } = await scene.apply();

    assert.match(
      message ?? '',
      /backup\.test did not accept backup\.test\/acme\/public\.test\/app:1: /,
    );
  });

  it('completes a copy that was interrupted after its generation tag when that tag cannot be written again', async () => {
    scene = await openScene();
    seed(scene.source, 'app:1', first);
    const killed = scene.backup.faults.add(
      ({ method, path }) => method === 'PUT' && path.endsWith('/manifests/1'),
      answer(400),
    );
    await scene.apply();
    killed.end();
    const generation = `/manifests/1.${shortOf(first)}`;
    scene.backup.faults.add(
      ({ method, path }) => method === 'PUT' && path.endsWith(generation),
      answer(403),
    );
    scene.restart();

    const result = await scene.apply();

    assert.equal(result.message, undefined);
    assert.ok(tags(scene).includes('1'));
  });
});
