import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import {
  answer,
  type Image,
  makeImage,
  makeReferrer,
  makeSignature,
  seed,
} from '../../lib/memory-registry/index.ts';
import { openScene, type Scene } from './scene.ts';

const image = makeImage({ seed: 'signed' });
const { tag, image: signature } = makeSignature(image);
const sbom = makeReferrer(image, { artifactType: 'application/vnd.example.sbom' });

let scene: Scene | undefined;
async function open(): Promise<Scene> {
  scene = await openScene();
  seed(scene.source, 'app:1', image);
  return scene;
}
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

function sign({ source }: Scene): void {
  seed(source, `app:${tag}`, signature);
  seed(source, 'app', sbom);
}

function hasCopied({ backup }: Scene, { digest }: Image): boolean {
  return backup.store
    .repositories()
    .some((path) => backup.store.manifest(path, digest) !== undefined);
}

describe('signatures of an image', () => {
  it('signatures of an image are in the backup when the review is answered', async () => {
    const scene = await open();
    sign(scene);

    const { warnings } = await scene.apply();

    assert.deepEqual(warnings, []);
    assert.ok(hasCopied(scene, signature) && hasCopied(scene, sbom));
  });

  it('signatures that cannot be read cause one warning', async () => {
    const scene = await open();
    sign(scene);
    scene.source.faults.add(({ path }) => /\.(sig|att|sbom)$|referrers/.test(path), answer(500));

    const { allowed, warnings } = await scene.apply();

    assert.equal(allowed, true);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /the image was copied, it/);
  });

  it('copies the other signatures when one of them cannot be read', async () => {
    const scene = await open();
    sign(scene);
    scene.source.faults.add(({ path }) => path.endsWith('.sig'), answer(500));

    assert.equal((await scene.apply()).warnings.length, 1);
    assert.ok(hasCopied(scene, sbom));
  });
});
