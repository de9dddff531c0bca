import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CopyPlan } from '../../../../lib/index.ts';
import { type Image, makeImage, makeIndex, seed } from '../../../../lib/memory-registry/index.ts';
import { type Bench, useBench, walk } from '../bench.ts';

const { signal } = new AbortController();
const amd64 = makeImage();
const arm64 = makeImage({ platform: 'linux/arm64/v8' });
const s390x = makeImage({ platform: 'linux/s390x' });
const index = makeIndex([amd64, arm64, s390x], { attestations: true });

const open = useBench();

/** Copies `app:1` with only these platforms, as the policy does. */
async function copySelected(
  bench: Bench,
  { digest }: Image,
  platforms: readonly string[],
): Promise<{ readonly plan: CopyPlan; readonly warnings: readonly string[] }> {
  const cloner = bench.selecting(platforms);
  const source = { domain: bench.source.host, path: 'app', tag: '1', digest };
  const sourceAccess = { side: 'source' } as const;
  const plan = await cloner.selection?.plan?.(source, sourceAccess, signal);
  assert(plan !== undefined);
  const request = {
    source,
    sourceAccess,
    target: { domain: bench.backup.host, path: 'acme/app' },
    targetAccess: { side: 'backup' } as const,
    firstTag: 'first',
    plan,
  };
  const copied = await cloner.copy(request, signal, () => undefined);
  await copied.release();
  assert.equal(copied.digest, plan.digest);
  assert.equal(bench.backup.store.manifest('acme/app', 'first')?.digest, plan.digest);
  return { plan, warnings: copied.warnings };
}

/** The digests of all manifests below the copy, itself excluded. */
function below(bench: Bench, digest = ''): readonly string[] {
  return [...walk(bench.backup, 'acme/app', digest).keys()]
    .filter((key) => key.startsWith('manifest') && !key.includes(digest))
    .map((key) => key.split(' ')[1] ?? '');
}

describe('readSelected', () => {
  it('copies the listed platforms of an index with their attestations, and nothing else', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', index);

    const { plan, warnings } = await copySelected(bench, index, ['linux/amd64', 'linux/arm64']);

    const [, , , ofAmd64, ofArm64] = index.children;
    assert.deepEqual(below(bench, plan.digest), [
      amd64.digest,
      arm64.digest,
      ofAmd64?.digest,
      ofArm64?.digest,
    ]);
    assert.equal(bench.backup.store.manifests('acme/app').length, 5);
    assert.deepEqual(warnings, [
      `${bench.source.host}/app:1@${index.digest}: signatures of the whole image do not apply to its copy, which has only linux/amd64, linux/arm64`,
    ]);
  });

  it('reads the index of the source once for the plan and the copy', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', index);

    await copySelected(bench, index, ['linux/amd64']);

    const reads = bench.source.requests
      .list({ method: 'GET', kind: 'manifest' })
      .filter(({ path }) => path.endsWith(index.digest));
    assert.equal(reads.length, 1);
  });

  it('keeps the digest of an index that has no other platforms, without a warning', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', index);
    const platforms = ['linux/amd64', 'linux/arm64', 'linux/s390x'];

    const { plan, warnings } = await copySelected(bench, index, platforms);

    assert.equal(plan.digest, index.digest);
    assert.deepEqual(warnings, []);
  });

  it('copies the listed platforms of a docker manifest list', async () => {
    const bench = await open();
    const mediaTypes = 'docker';
    const images = ['linux/amd64', 'linux/arm/v7'].map((platform) =>
      makeImage({ platform, mediaTypes }),
    );
    const list = makeIndex(images, { mediaTypes });
    seed(bench.source, 'app:1', list);

    const { plan } = await copySelected(bench, list, ['linux/arm/v7']);

    assert.deepEqual(below(bench, plan.digest), [images[1]?.digest]);
    assert.equal(bench.backup.store.manifest('acme/app', 'first')?.mediaType, list.mediaType);
  });

  it('copies the listed platforms of nested indexes', async () => {
    const bench = await open();
    const inner = makeIndex([amd64, s390x]);
    const foreign = makeIndex([s390x]);
    const outer = makeIndex([inner, foreign, arm64]);
    seed(bench.source, 'app:1', outer);

    const { plan } = await copySelected(bench, outer, ['linux/amd64']);

    const [nested, image, ...others] = below(bench, plan.digest);
    assert.notEqual(nested, inner.digest);
    assert.equal(image, amd64.digest);
    assert.deepEqual(others, []);
  });

  it('rejects an index without any of the platforms, and lists those that it has', async () => {
    const bench = await open();
    seed(bench.source, 'app:1', index);

    await assert.rejects(copySelected(bench, index, ['linux/ppc64le', 'windows/amd64']), {
      name: 'CloneError',
      code: 'SOURCE_UNSUPPORTED',
      message: `${bench.source.host}/app:1@${index.digest} cannot be copied: it has linux/amd64, linux/arm64/v8, linux/s390x and none of PLATFORMS (linux/ppc64le, windows/amd64)`,
    });
  });

  it('names at most twelve platforms of a source, and quotes what is none', async () => {
    const bench = await open();
    const images = [
      'linux/evil\u001b[31m',
      ...Array.from({ length: 13 }, (_, at) => `linux/a${at}`),
    ];
    const many = makeIndex(images.map((platform) => makeImage({ platform })));
    seed(bench.source, 'app:1', many);

    await assert.rejects(copySelected(bench, many, ['linux/amd64']), {
      message:
        /: it has "linux\/evil\\u001b\[31m", linux\/a0, .*, linux\/a10, 2 more and none of PLATFORMS \(linux\/amd64\)$/,
    });
  });

  it('rejects an index whose nested index is missing', async () => {
    const bench = await open();
    const inner = makeIndex([amd64]);
    const outer = makeIndex([inner]);
    seed(bench.source, 'app:1', outer);
    bench.source.store.deleteManifest('app', inner.digest);

    await assert.rejects(copySelected(bench, outer, ['linux/amd64']), {
      code: 'SOURCE_UNSUPPORTED',
      message: new RegExp(`it is incomplete: its registry does not have its part ${inner.digest}$`),
    });
  });

  it('rejects indexes that are nested too deep', async () => {
    const bench = await open();
    let deep = makeIndex([amd64]);
    for (let depth = 0; depth < 5; depth += 1) deep = makeIndex([deep]);
    seed(bench.source, 'app:1', deep);

    await assert.rejects(copySelected(bench, deep, ['linux/amd64']), {
      message: /its indexes are nested more than 4 deep$/,
    });
  });

  it('rejects a source that is gone', async () => {
    const bench = await open();

    await assert.rejects(copySelected(bench, index, ['linux/amd64']), {
      code: 'SOURCE_NOT_FOUND',
    });
  });
});
