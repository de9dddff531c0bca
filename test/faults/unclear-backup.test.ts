import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import {
  answer,
  createHold,
  dropConnection,
  makeImage,
  redirect,
  seed,
} from '../../lib/memory-registry/index.ts';
import { openScene, type Scene, type SceneOptions } from './scene.ts';

type Fault = Parameters<Scene['backup']['faults']['add']>[1];

const image = makeImage({ seed: 'unclear' });
const other = makeImage({ seed: 'another image' });
const short = image.digest.slice('sha256:'.length, 'sha256:'.length + 12);

/** Neither a manifest nor a clear 404. */
const answers: readonly (readonly [string, Fault])[] = [
  ...[401, 403, 405, 412, 423, 451, 500, 501, 503].map(
    (status) => [`answers ${status}`, answer(status)] as const,
  ),
  ['answers 429', answer(429)],
  [
    'has a login page in front',
    answer(200, { headers: { 'content-type': 'text/html' }, body: '<h1>Log in</h1>' }),
  ],
  ['cuts the connection', dropConnection()],
  ['redirects in a circle', redirect(({ href }) => href)],
];

let scene: Scene | undefined;
async function open(options?: SceneOptions): Promise<Scene> {
  scene = await openScene(options);
  seed(scene.source, 'app:1', image);
  return scene;
}
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

/** Fails reads of one tag of the backup. */
function failReads({ backup }: Scene, tag: string, fault: Fault): void {
  backup.faults.add(
    ({ method, path }) => method !== 'PUT' && path.endsWith(`/manifests/${tag}`),
    fault,
  );
}

/** The name of the copy in the backup, and the digest of each of its tags. */
function held({ backup }: Scene): Readonly<Record<string, string | undefined>> {
  const [path = ''] = backup.store.repositories().filter((name) => name.startsWith('acme/'));
  const tags = backup.store.tags(path);
  return Object.fromEntries(tags.map((tag) => [tag, backup.store.manifest(path, tag)?.digest]));
}

async function copyFirst(scene: Scene): Promise<void> {
  assert.equal((await scene.apply()).allowed, true);
  scene.restart();
}

describe('a backup that does not say what the plain tag holds', () => {
  for (const [what, fault] of answers) {
    it(`writes the copy under its generation tag when the backup ${what} for the plain tag`, async () => {
      const scene = await open();
      failReads(scene, '1', fault);

      const result = await scene.apply();

      assert.equal(result.message, undefined);
      assert.match(JSON.stringify(result.patch), new RegExp(`app-[0-9a-f]{12}:1@${image.digest}"`));
      assert.deepEqual(held(scene), { [`1.${short}`]: image.digest });
      assert.equal(result.warnings.length, 1);
      assert.match(result.warnings[0] ?? '', /^(public\.test\/|…)?app:1 is pinned to its digest: /);
    });

    it(`does not move the plain tag when the backup ${what} for the plain tag`, async () => {
      const scene = await open();
      await copyFirst(scene);
      seed(scene.source, 'app:1', other);
      failReads(scene, '1', fault);

      const result = await scene.apply();

      assert.match(JSON.stringify(result.patch), new RegExp(`app-[0-9a-f]{12}:1@${other.digest}"`));
      assert.equal(held(scene)['1'], image.digest);
    });

    it(`does not move the plain tag when the backup ${what} for the hold`, async () => {
      const scene = await open();
      await copyFirst(scene);
      seed(scene.source, 'app:1', other);
      failReads(scene, '1.hold', fault);

      const result = await scene.apply();

      assert.match(JSON.stringify(result.patch), new RegExp(`app-[0-9a-f]{12}:1@${other.digest}"`));
      assert.equal(held(scene)['1'], image.digest);
    });

    it(`refuses and names the backup when the source is gone and the backup ${what}`, async () => {
      const scene = await open();
      await copyFirst(scene);
      await scene.source.close();
      failReads(scene, '1', fault);

      const result = await scene.apply();

      assert.deepEqual([result.allowed, result.code], [false, 403]);
      assert.match(
        result.message ?? '',
        /^container "web": (public\.test\/app:1: )?the backup registry backup\.test .+; and public\.test cannot be reached/,
      );
      assert.equal(scene.isBackupUp(), false);
      assert.ok(!scene.log.lines.some(({ message }) => /has no backup/.test(message)));
    });

    it(`does not use the backup when the source is gone and the backup ${what} for the generation tag`, async () => {
      const scene = await open();
      await copyFirst(scene);
      await scene.source.close();
      failReads(scene, `1.${short}`, fault);

      const result = await scene.apply();

      assert.equal(result.allowed, false);
      assert.match(result.message ?? '', / the backup registry backup\.test .+; and public\.test /);
    });
  }

  it('moves the plain tag in the next review, once the backup answers again', async () => {
    const scene = await open();
    failReads(scene, '1', answer(403));
    await scene.apply();
    scene.backup.faults.clear();

    const result = await scene.apply();

    assert.match(JSON.stringify(result.patch), /app-[0-9a-f]{12}:1"/);
    assert.equal(held(scene)['1'], image.digest);
  });

  it('reports the error of the write when the backup rejects reads and writes', async () => {
    const scene = await open();
    scene.backup.faults.add(({ kind }) => kind !== 'base', answer(403));

    const { message } = await scene.apply();

    assert.match(message ?? '', /starting an upload: requested access to the resource is denied/);
  });

  it('names the backup when it is silent and the copy makes no progress', async () => {
    const scene = await open({ budgetMs: 120 });
    const hold = createHold();
    scene.backup.faults.add(() => true, hold.fault);

    const { message } = await scene.apply();
    hold.release();

    assert.equal(
      message,
      'container "web": public.test/app:1: the backup registry backup.test did not answer in time',
    );
  });
});

describe('a backup that does not say whether it has a blob or a child manifest', () => {
  for (const [what, fault] of answers) {
    it(`uploads the layers when the backup ${what} for each of them`, async () => {
      const scene = await open();
      scene.backup.faults.add(({ method, kind }) => method === 'HEAD' && kind === 'blob', fault);

      const result = await scene.apply();

      assert.deepEqual([result.message, result.warnings], [undefined, []]);
      assert.equal(held(scene)['1'], image.digest);
    });
  }
});

describe('a manifest that the backup accepted with 201', () => {
  const isCheck = ({ method, path }: { readonly method: string; readonly path: string }): boolean =>
    method !== 'PUT' && path.endsWith(`/manifests/${image.digest}`);

  for (const [what, fault] of answers.filter(([what]) => !/50[013]/.test(what))) {
    it(`completes the copy when the backup ${what} to the check of a written manifest`, async () => {
      const scene = await open();
      scene.backup.faults.add(isCheck, fault);

      assert.deepEqual(
        [(await scene.apply()).message, held(scene)['1']],
        [undefined, image.digest],
      );
    });
  }

  it('fails the copy when the check of a written manifest answers 404', async () => {
    const scene = await open();
    scene.backup.faults.add(isCheck, answer(404));

    const { message } = await scene.apply();

    assert.match(message ?? '', /it was accepted, and the registry does not have it \(404\)/);
    assert.deepEqual(held(scene), {});
  });

  it('completes the copy when the check of a written manifest answers 404 to HEAD and 200 to GET', async () => {
    const scene = await open();
    scene.backup.faults.add(
      (request) => isCheck(request) && request.method === 'HEAD',
      answer(404),
    );

    assert.equal((await scene.apply()).message, undefined);
  });

  it('completes the copy when the check of a written manifest answers 501 to HEAD and 200 to GET', async () => {
    const scene = await open();
    scene.backup.faults.add(
      (request) => isCheck(request) && request.method === 'HEAD',
      answer(501),
    );

    assert.equal((await scene.apply()).message, undefined);
  });

  it('fails the copy when the check of a written manifest answers 500 again and again', async () => {
    const scene = await open();
    scene.backup.faults.add(isCheck, answer(500));

    assert.equal((await scene.apply()).allowed, false);
  });

  it('completes the copy when the check of a written manifest answers 500 once', async () => {
    const scene = await open();
    scene.backup.faults.add(isCheck, answer(500), { times: 1 });

    assert.equal((await scene.apply()).message, undefined);
  });
});

describe('an absent tag', () => {
  it('does not overwrite a tag when HEAD answers 404 and GET serves the image of another tool', async () => {
    const scene = await open();
    await copyFirst(scene);
    const [path = ''] = scene.backup.store.repositories().filter((name) => name.includes('app'));
    scene.backup.store.putManifest(path, other, '1');
    const isTag = ({ method, path }: { readonly method: string; readonly path: string }): boolean =>
      method === 'HEAD' && path.endsWith('/manifests/1');
    scene.backup.faults.add(isTag, answer(404));

    const result = await scene.apply();

    assert.match(result.message ?? '', /was not written by image-cloner/);
    assert.equal(held(scene)['1'], other.digest);
  });

  it('falls back to a backup that answers 404 to HEAD and serves GET', async () => {
    const scene = await open();
    await copyFirst(scene);
    await scene.source.close();
    scene.backup.faults.add(
      ({ method, kind }) => method === 'HEAD' && kind === 'manifest',
      answer(404),
    );

    const result = await scene.apply();

    assert.equal(result.allowed, true);
    assert.match(result.warnings[0] ?? '', /^using the backup/);
  });

  it('requests an image by GET before it reports that the source does not have it', async () => {
    for (const status of [400, 404, 406, 412, 451, 500, 501]) {
      const scene = await open();
      scene.source.faults.add(
        ({ method, kind }) => method === 'HEAD' && kind === 'manifest',
        answer(status),
      );

      assert.equal((await scene.apply()).message, undefined, String(status));
      await scene.close();
    }
  });
});

describe('a dry run', () => {
  it('a dry run plans the copy, with a warning, when the backup answers 403', async () => {
    const scene = await open();
    failReads(scene, '1', answer(403));

    const result = await scene.apply('app:1', { dryRun: true });

    assert.equal(result.allowed, true);
    assert.match(result.warnings[0] ?? '', /^dry run: the copy may be refused: /);
    assert.deepEqual(held(scene), {});
  });

  it('a dry run is refused when the backup answers 503', async () => {
    const scene = await open();
    failReads(scene, '1', answer(503));

    assert.equal((await scene.apply('app:1', { dryRun: true })).allowed, false);
  });
});
