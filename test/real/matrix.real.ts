import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openBackupRegistry, openRegistryCloner } from '../../lib/adapters/registry/index.ts';
import { toEnsureBackup } from '../../lib/create-admission-handler.ts';
import {
  planPrune,
  readHoldings,
  release,
  removeGeneration,
  rollBack,
} from '../../lib/generations/index.ts';
import { backupReference, formatReference, parseReference } from '../../lib/index.ts';
import {
  type Image,
  makeImage,
  makeIndex,
  makeReferrer,
  makeSignature,
  referrersTag,
} from '../../lib/memory-registry/index.ts';
import { manifestTypes } from './support/docker-registry.ts';
import { push } from './support/images.ts';
import { createTempDir } from './support/janitor.ts';
import { runOrThrow } from './support/program.ts';
import { type AnyRegistry, missingKinds, registryKinds } from './support/registries.ts';

const { signal } = new AbortController();
const settings = {
  configuredHosts: [],
  insecureRegistries: [],
  trust: undefined,
  insideCluster: false,
  proxy: undefined,
};
const arm = { platform: 'linux/arm64' };
const docker = { mediaTypes: 'docker' } as const;

interface Shape {
  readonly what: string;
  readonly path: string;
  readonly image: Image;
  readonly isDocker?: boolean;
  /** `crane validate` takes neither attestations nor an empty layer. @default crane */
  readonly checkedBy?: 'skopeo';
}

const shapes: readonly Shape[] = [
  { what: 'an image', path: 'shape/image', image: makeImage({ layers: [50_000, 100] }) },
  {
    what: 'an image with an empty layer',
    path: 'shape/empty',
    image: makeImage({ layers: [new Uint8Array(), 1000] }),
    checkedBy: 'skopeo',
  },
  {
    what: 'an index with attestations',
    path: 'shape/attested',
    image: makeIndex([makeImage(), makeImage(arm)], { attestations: true }),
    checkedBy: 'skopeo',
  },
  {
    what: 'an index in an index',
    path: 'shape/nested',
    image: makeIndex([makeIndex([makeImage(), makeImage(arm)])]),
  },
  {
    what: 'an image in docker’s format',
    path: 'shape/docker',
    image: makeImage(docker),
    isDocker: true,
  },
  {
    what: 'a list in docker’s format',
    path: 'shape/list',
    image: makeIndex([makeImage(docker), makeImage({ ...docker, ...arm })], docker),
    isDocker: true,
  },
];
/** Generations of one tag, which have a platform in common. */
const [one, two, three] = ['one', 'two', 'three'].map((seed) =>
  makeIndex([makeImage({ seed }), makeImage(arm)]),
);

for (const { name, reason, isOptional = false } of missingKinds) {
  it(`leaves out ${name}`, { skip: !isOptional && reason }, (t) => t.diagnostic(reason));
}

/** Every registry as source of every registry; third-party clients check the copies. */
describe('images between real registries', () => {
  const backups = new Map<string, AnyRegistry>();
  before(async () => {
    for (const { name, start } of registryKinds) backups.set(name, await start());
  });
  after(async () => {
    for (const backup of backups.values()) await backup.stop();
  });

  for (const sourceKind of registryKinds) {
    describe(`from ${sourceKind.name}`, () => {
      let source: AnyRegistry;
      before(async () => {
        source = await sourceKind.start();
        for (const { path, image, isDocker } of shapes) {
          if (isDocker !== true || sourceKind.isOciOnly !== true)
            await push(source, path, image, '1');
        }
      });

      for (const backupKind of registryKinds) {
        const pair = `from ${sourceKind.name} to ${backupKind.name}`;

        for (const { what, path, isDocker = false, image, checkedBy } of shapes) {
          if (isDocker && sourceKind.isOciOnly === true) continue;
          if (isDocker && backupKind.isOciOnly === true) {
            it(`says why ${what} cannot be copied ${pair}`, async () => {
              const { copy } = open(source, backupKind.name, path);

              await assert.rejects(copy(), /docker2s2/);
            });
            continue;
          }
          it(`copies ${what} ${pair} once`, async () => {
            const { copy, at, digest } = open(source, backupKind.name, path);

            const first = await copy();
            const second = await copy();

            assert.equal(first.result, 'copied');
            assert.deepEqual([second.result, second.bytes], ['present', 0]);
            assert.equal(await digest('1'), image.digest);
            await validate(at('1'), checkedBy);
          });
        }

        it(`keeps, restores and prunes generations ${pair}`, async () => {
          const path = `moved/to-${registryKinds.indexOf(backupKind)}`;
          const { copy, digest, tags, at, context, prune } = open(source, backupKind.name, path);
          assert.ok(one && two && three);
          await push(source, path, one, '1');
          await copy();
          await push(source, path, two, '1');
          await copy();
          assert.equal(await digest('1'), two.digest);
          assert.equal(await digest(`1.${hex(one)}`), one.digest);
          assert.equal(await digest(`1.${hex(two)}`), two.digest);

          await rollBack(await context(), one.digest);
          await push(source, path, three, '1');
          const held = await copy();
          assert.equal(await digest('1'), one.digest);
          assert.equal(held.warnings.length, 1, held.warnings.join('; '));

          await release(await context());
          await copy();
          assert.equal(await digest('1'), three.digest);

          const removed = await prune(1);
          const left = await tags();
          if (backupKind.leavesTags !== true) {
            assert.deepEqual(removed, [one.digest, two.digest].toSorted());
            const present = left.filter((tag) => !/\.(hold|moved\..+)$/.test(tag));
            assert.deepEqual(present.toSorted(), ['1', `1.${hex(three)}`]);
            for (const gone of [one, ...one.children.slice(0, 1)]) {
              assert.equal(await digest(gone.digest), undefined);
            }
          }
          assert.equal(await digest('1'), three.digest);
          for (const tag of backupKind.leavesTags === true ? left : ['1']) await validate(at(tag));
        });

        it(`copies signatures and referrers ${pair}`, async () => {
          const path = `signed/to-${registryKinds.indexOf(backupKind)}`;
          const { copy, digest, referrers } = open(source, backupKind.name, path);
          const image = makeImage({ seed: path });
          const signature = makeSignature(image);
          const sbom = makeReferrer(image, { artifactType: 'application/vnd.example.sbom' });
          await push(source, path, image, '1');
          await push(source, path, signature.image, signature.tag);
          await push(source, path, sbom);
          if (!(await hasReferrers(source, path, image.digest))) {
            await push(source, path, makeIndex([sbom]), referrersTag(image.digest));
          }

          const { warnings } = await copy();

          assert.deepEqual(warnings, []);
          assert.equal(await digest(signature.tag), signature.image.digest);
          assert.equal(await digest(sbom.digest), sbom.digest);
          assert.match(await referrers(image.digest), new RegExp(sbom.digest));
        });
      }

      describe(`after ${sourceKind.name} stopped`, () => {
        before(() => source.stop());

        for (const backupKind of registryKinds) {
          it(`uses the backup in ${backupKind.name} of an image from ${sourceKind.name}`, async () => {
            const { copy, at } = open(source, backupKind.name, 'shape/image');

            const { result } = await copy();

            assert.equal(result, 'fallback');
            await validate(at('1'));
          });
        }
      });
    });
  }

  /** One repository of a source and its backup, in a process of its own: no state outlives it. */
  function open(source: AnyRegistry, backupName: string, path: string) {
    const backup = backups.get(backupName);
    assert.ok(backup);
    const image = parseReference(`${source.host}/${path}:1`);
    const location = { domain: backup.host, namespace: 'copies', naming: 'nested' } as const;
    const target = { ...backupReference(image, location), tag: '1' };
    const registry = openBackupRegistry(settings, { side: 'backup' });
    const ensureBackup = toEnsureBackup({
      cloner: openRegistryCloner(settings),
      soon: () => undefined,
    });
    const digest = (reference: string) => digestOf(backup, target.path, reference);
    return {
      digest,
      at: (tag: string) => formatReference({ ...target, tag }),
      tags: async () => await (await registry.repository(target, signal)).tags(signal),
      copy: async () => {
        const outcome = await ensureBackup({
          source: image,
          backup: target,
          dryRun: false,
          budgetMs: 20_000,
          uid: '',
          signal,
        });
        if (outcome.status === 'failed') throw outcome.error;
        assert.equal(outcome.status, 'ready');
        return outcome;
      },
      context: async () => ({
        repository: await registry.repository(target, signal),
        backup: target,
        adoptExisting: false,
        now: Date.now,
        signal,
      }),
      /** The removed digests. */
      prune: async (keep: number) => {
        const repository = await registry.repository(target, signal);
        const rules = { keep, used: new Set<string>() };
        const holdings = await readHoldings(repository, signal);
        const removed = [];
        for (const old of await planPrune(repository, holdings, rules, signal)) {
          assert.equal(old.keptBecause, undefined);
          const result = await removeGeneration(repository, old, rules, signal);
          if (result.status === 'removed') removed.push(old.digest);
        }
        return removed.toSorted();
      },
      /** The referrers of a digest, from the API or the fallback tag. */
      referrers: async (of: string) => {
        const api = await backup.request(`${target.path}/referrers/${of}`);
        if (api.ok) return await api.text();
        const tag = `${target.path}/manifests/${referrersTag(of)}`;
        return await (await backup.request(tag, { headers: { accept: manifestTypes } })).text();
      },
    };
  }
});

async function digestOf(
  { request }: AnyRegistry,
  path: string,
  reference: string,
): Promise<string | undefined> {
  const { headers } = await request(`${path}/manifests/${reference}`, {
    method: 'HEAD',
    headers: { accept: manifestTypes },
  });
  return headers.get('docker-content-digest') ?? undefined;
}

async function hasReferrers({ request }: AnyRegistry, path: string, of: string): Promise<boolean> {
  return (await request(`${path}/referrers/${of}`)).ok;
}

/** Has another client read the whole image. */
async function validate(image: string, by?: 'skopeo'): Promise<void> {
  if (by === undefined) {
    await runOrThrow('crane', ['validate', '--insecure', '--remote', image]);
    return;
  }
  const layout = `oci:${createTempDir('layout')}:1`;
  const flags = ['--all', '--src-tls-verify=false'];
  await runOrThrow('skopeo', ['copy', ...flags, `docker://${image}`, layout]);
}

function hex({ digest }: Image): string {
  return digest.slice('sha256:'.length).slice(0, 12);
}
