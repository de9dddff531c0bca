import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { generationTag, moveTag } from '../../../lib/image/tags.ts';
import {
  answer,
  caselessTags,
  createMemoryRegistry,
  type Image,
  immutableTags,
  type MemoryRegistry,
  makeImage,
  makeIndex,
  makeReferrer,
  makeSignature,
  on,
  seed,
  serveMemoryRegistry,
} from '../../../lib/memory-registry/index.ts';
import { entranceCommand } from '../../support/entrance-command.ts';

interface Run {
  readonly code: number;
  readonly lines: readonly string[];
  readonly stderr: string;
}

const old = makeIndex([
  makeImage({ seed: 'old' }),
  makeImage({ seed: 'old', platform: 'linux/arm64' }),
]);
const current = makeImage({ seed: 'current', layers: [3 * 1024 * 1024] });
const short = ({ digest }: Image): string => digest.slice(0, 19);

describe('functions/generations/main.ts', () => {
  let dir: string;
  let registry: MemoryRegistry;
  let host: string;
  let close: () => Promise<void>;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'generations-'));
    await writeFile(join(dir, 'username'), 'acme');
    await writeFile(join(dir, 'password'), 's3cret');
    registry = createMemoryRegistry({ auth: { scheme: 'bearer', users: { acme: 's3cret' } } });
    ({ host, close } = await serveMemoryRegistry({ registry }));
    const put = (tag: string, image: Image): void => {
      seed(registry, `backups/nginx:${tag}`, image);
    };
    put(generationTag('1.27', old.digest), old);
    put(generationTag('1.27', current.digest), current);
    put(moveTag('1.27', { at: Date.UTC(2026, 10, 25, 3, 34), from: old.digest }), current);
    put('1.27', current);
    put('2', old);
    put(generationTag('2', old.digest), old);
  });
  afterEach(() => registry.faults.clear());
  after(async () => {
    await close();
    await rm(dir, { recursive: true });
  });

  async function run(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Run> {
    const command = entranceCommand('generations');
    const given = { REGISTRY: host, REGISTRY_NAMESPACE: 'backups', REGISTRY_AUTH_DIR: dir };
    return await new Promise((resolve) => {
      execFile(
        process.execPath,
        [...command.args, ...args],
        { env: { ...command.env, ...given, ...env } },
        (error, stdout, stderr) => {
          const code = error === null ? 0 : Number(error.code);
          resolve({ code, lines: stdout.trimEnd().split('\n'), stderr });
        },
      );
    });
  }

  const held = (tag: string): string | undefined =>
    registry.store.manifest('backups/nginx', tag)?.digest;

  it('just generations removes control characters of an image from its output', async () => {
    const hostile = makeIndex([makeImage({ platform: 'li\u001b[2Jnux/amd64' })]);
    seed(registry, `backups/evil:${generationTag('1', hostile.digest)}`, hostile);
    seed(registry, 'backups/evil:1', hostile);

    const { code, lines } = await run(['generations', 'evil:1']);

    assert.equal(code, 0);
    assert.match(lines.join('\n'), /li \[2Jnux\/amd64/);
    assert.equal(lines.join('').includes('\u001b'), false);
  });

  it('just generations ignores the TLS settings of the webhook', async () => {
    const { code, stderr } = await run(['generations', 'nginx:1.27'], {
      TLS_CLIENT_CA_FILE: '/files/ca.crt',
    });

    assert.equal(code, 0, stderr);
  });

  it('just generations and just rollback list generations, roll back, hold and release a tag', async () => {
    const listed = await run(['generations', 'nginx:1.27']);
    const move = moveTag('1.27', { at: Date.UTC(2026, 10, 25, 3, 34), from: old.digest });
    const pad = (text: string, width: number): string => text.padEnd(width);
    assert.deepEqual(listed, {
      code: 0,
      stderr: '',
      lines: [
        `${host}/backups/nginx:1.27`,
        'DIGEST               STATE    SINCE                 SIZE     PLATFORMS                TAGS',
        `${short(current)}  current  2026-11-25 03:34 UTC  3.0 MiB  ${pad('', 23)}  1.27 ${generationTag('1.27', current.digest)} ${move}`,
        `${short(old)}  ${pad('', 7)}  ${pad('', 20)}  ${pad('', 7)}  linux/amd64,linux/arm64  ${generationTag('1.27', old.digest)} 2 ${generationTag('2', old.digest)}`,
        `2 generations; to go back: image-cloner rollback nginx:1.27 ${short(old)}`,
      ],
    });

    const rolled = await run(['rollback', 'nginx:1.27', short(old)]);
    assert.deepEqual(rolled, {
      code: 0,
      stderr: '',
      lines: [
        `${host}/backups/nginx:1.27 is at ${old.digest} now and no longer at ${current.digest}`,
        'the tag is held there: reviews do not move it until "just rollback nginx:1.27 --release"',
        'nodes that pulled the tag before may keep running the image they have (imagePullPolicy: IfNotPresent)',
      ],
    });
    assert.equal(held('1.27'), old.digest);
    assert.equal(held('1.27.hold'), old.digest);

    // The name in the backup, as `kubectl get` shows it.
    const again = await run(['generations', `${host}/backups/nginx:1.27`]);
    assert.match(again.lines[2] ?? '', new RegExp(`^${short(old)}  current, held  20`));

    const released = await run(['rollback', 'nginx:1.27', '--release']);
    assert.deepEqual(released.lines, [
      `${host}/backups/nginx:1.27 is no longer held at ${old.digest}: it follows its source from the next review on`,
    ]);
    assert.deepEqual((await run(['rollback', 'nginx:1.27', '--release'])).lines, [
      `${host}/backups/nginx:1.27 was not held`,
    ]);
    await run(['rollback', 'nginx:1.27', short(current)]);
    await run(['rollback', 'nginx:1.27', '--release']);
  });

  it('just prune removes only with --apply, and prints what keeps a generation', async () => {
    assert.deepEqual((await run(['prune'])).lines, [
      'KEEP_GENERATIONS is not set: every generation is kept',
    ]);
    const env = { KEEP_GENERATIONS: '1' };
    const name = `${host}/backups/nginx:1.27`;
    assert.deepEqual((await run(['prune', 'nginx:1.27'], env)).lines, [
      `${'IMAGE'.padEnd(name.length)}  DIGEST               VERDICT`,
      `${name}  ${short(old)}  kept: held by 2`,
      'nothing to remove with KEEP_GENERATIONS=1',
    ]);
    seed(registry, 'backups/nginx:2', current);
    seed(registry, `backups/nginx:${generationTag('2', current.digest)}`, current);
    seed(registry, `backups/nginx:${moveTag('2', { at: 0, from: old.digest })}`, current);

    const report = await run(['prune'], env);
    assert.deepEqual(report.lines.slice(1), [
      `${name}, ${host}/backups/nginx:2  ${short(old)}  would be removed`,
      '1 would be removed with KEEP_GENERATIONS=1; to remove them: image-cloner prune --apply',
    ]);
    assert.equal(held(old.digest), old.digest);

    await writeFile(join(dir, 'used.yaml'), `image: x@${old.children[0]?.digest}\n`);
    const used = await run(['prune', '--apply', '--used', join(dir, 'used.yaml')], env);
    assert.match(used.lines[1] ?? '', /kept: in use$/);

    registry.faults.add(on('DELETE', 'manifest'), answer(405));
    const refused = await run(['prune', '--apply'], env);
    assert.equal(refused.code, 1);
    assert.equal(
      refused.stderr,
      `prune: the backup registry ${host} does not allow deletion (405); enable it, in distribution by storage.delete.enabled\n`,
    );
    registry.faults.clear();

    const applied = await run(['prune', '--apply'], env);
    assert.deepEqual(applied.lines.slice(-1), [
      '1 removed; the garbage collection of the registry frees the space',
    ]);
    assert.equal(held(old.digest), undefined);
    assert.equal(held('1.27'), current.digest);
    assert.equal(held('2'), current.digest);
  });

  it('just generations shows what an immutable tag holds, and what it means', async () => {
    const name = 'backups/fixed';
    const at = Date.UTC(2026, 10, 25, 3, 34);
    seed(registry, `${name}:1`, old);
    seed(registry, `${name}:${generationTag('1', old.digest)}`, old);
    seed(registry, `${name}:${generationTag('1', current.digest)}`, current);
    seed(registry, `${name}:${moveTag('1', { at, from: old.digest })}`, current);

    const { code, lines } = await run(['generations', 'fixed:1']);

    assert.equal(code, 0);
    assert.deepEqual(
      lines.slice(2).map((line) => line.replace(/ +/g, ' ')),
      [
        `${short(current)} current 2026-11-25 03:34 UTC 3.0 MiB ${generationTag('1', current.digest)} ${moveTag('1', { at, from: old.digest })}`,
        `${short(old)} in the tag linux/amd64,linux/arm64 1 ${generationTag('1', old.digest)}`,
        `the tag still holds ${short(old)} and was not moved to ${short(current)}: the registry does not let it move, or the copy was interrupted`,
        `2 generations; to go back: image-cloner rollback fixed:1 ${short(old)}`,
      ],
    );

    registry.faults.add(() => true, immutableTags());
    const refused = await run(['rollback', 'fixed:1', short(old)]);
    assert.deepEqual(refused, {
      code: 1,
      lines: [''],
      stderr: `rollback: ${host}/backups/fixed:1 was not rolled back and stays as it is: the backup registry ${host} does not let the tag 1.hold move (writing the manifest: The image tag '1.hold' already exists in the 'backups/fixed' repository and cannot be overwritten because the repository is immutable.); allow that in the registry, or name the digest in the workload\n`,
    });
  });

  it('just generations and just prune find RELEASE.2024 in a registry that lists tags in lower case', async () => {
    registry.faults.add(() => true, caselessTags());
    const tag = 'RELEASE.2024-01-01T00-00-00Z';
    const lower = 'release.2024-01-01t00-00-00z';
    const name = 'backups/minio';
    const images = ['a', 'b'].map((each) => makeImage({ seed: each }));
    const [first = '', second = ''] = images.map(({ digest }) => digest);
    for (const image of images)
      seed(registry, `${name}:${generationTag(lower, image.digest)}`, image);
    // As version 0.1 wrote it, and the registry listed it.
    const move = `${lower}.moved.20261125t033400z.${first.slice(7, 19)}`;
    for (const each of [move, lower]) seed(registry, `${name}:${each}`, images[1] ?? old);

    const { lines } = await run(['generations', `minio:${tag}`]);
    assert.match(
      lines[2] ?? '',
      new RegExp(`^${second.slice(0, 19)} +current +2026-11-25 03:34 UTC`),
    );
    assert.match(lines[3] ?? '', new RegExp(`^${first.slice(0, 19)} `));

    const pruned = await run(['prune', `minio:${tag}`, '--apply'], { KEEP_GENERATIONS: '1' });
    assert.match(pruned.lines.at(-1) ?? '', /^1 removed/);
    assert.deepEqual(registry.store.manifests(name), [second]);
  });

  const mistakes: readonly (readonly [
    what: string,
    args: readonly string[],
    code: number,
    stderr: RegExp,
  ])[] = [
    ['no command', [], 2, /^generations: usage: generations COMMAND [^\n]*\n$/],
    [
      'no image',
      ['generations'],
      2,
      /^generations: IMAGE is missing\ngenerations: usage: image-cloner generations \[OPTION…\] IMAGE; [^\n]*\n$/,
    ],
    ['no digest', ['rollback', 'nginx:1.27'], 2, /^rollback: name DIGEST or --release\n/],
    [
      'an invalid digest',
      ['rollback', 'nginx:1.27', '1.26'],
      2,
      /^rollback: "1\.26" is not a digest/,
    ],
    [
      'a pinned image',
      ['generations', `nginx@${old.digest}`],
      2,
      /is pinned to a digest, which never moves/,
    ],
    [
      'a flag of another command',
      ['generations', 'nginx', '--apply'],
      2,
      /^generations: unknown flag --apply\ngenerations: usage: [^\n]*\n$/,
    ],
    [
      'a generation that does not exist',
      ['rollback', 'nginx:1.27', 'sha256:000000'],
      1,
      /^rollback: the backup has no generation sha256:000000 of /,
    ],
  ];
  for (const [what, args, code, stderr] of mistakes) {
    it(`rejects a generations command with ${what}`, async () => {
      const end = await run(args);

      assert.equal(end.code, code, end.stderr);
      assert.match(end.stderr, stderr);
    });
  }

  it('just prune --apply requires --used when PIN_DIGESTS is true', async () => {
    const end = await run(['prune', '--apply'], { KEEP_GENERATIONS: '1', PIN_DIGESTS: 'true' });

    assert.equal(end.code, 2);
    assert.match(end.stderr, /^prune: PIN_DIGESTS=true: workloads name digests/);
  });

  it('just prune rejects a --used file without digests', async () => {
    // The shell creates the file also if kubectl fails.
    await writeFile(join(dir, 'empty.yaml'), 'apiVersion: v1\nitems: []\n');
    const file = join(dir, 'empty.yaml');

    const end = await run(['prune', '--apply', '--used', file], { KEEP_GENERATIONS: '1' });

    assert.equal(end.code, 2);
    assert.equal(
      end.stderr,
      `prune: --used ${file} names no digest and would protect nothing: check that it holds the output of kubectl\n`,
    );
  });

  it('just prune reports what it removed before the registry failed', async () => {
    const three = ['a', 'b', 'c'].map((each) => makeImage({ seed: each }));
    for (const [day, image] of three.entries()) {
      const from = registry.store.manifest('backups/app', '1')?.digest;
      seed(registry, `backups/app:${generationTag('1', image.digest)}`, image);
      if (from !== undefined) {
        const move = moveTag('1', { at: Date.UTC(2026, 0, day), from });
        seed(registry, `backups/app:${move}`, image);
      }
      seed(registry, 'backups/app:1', image);
    }
    const second = three[1]?.digest ?? '';
    registry.faults.add(
      ({ method, path }) => method === 'DELETE' && path.endsWith(second),
      answer(405),
    );

    const end = await run(['prune', 'app:1', '--apply'], { KEEP_GENERATIONS: '1' });

    assert.equal(end.code, 1);
    assert.match(end.stderr, /^prune: the backup registry .* does not allow deletion/);
    assert.deepEqual(
      end.lines.map((line) => line.replace(/ +/g, ' ')),
      [
        'IMAGE DIGEST VERDICT',
        `${host}/backups/app:1 ${three[0]?.digest.slice(0, 19)} removed`,
        '1 removed; the garbage collection of the registry frees the space',
      ],
    );
  });

  it('just prune reports how many signatures it removes with a generation', async () => {
    const name = 'backups/signed';
    const images = ['a', 'b'].map((each) => makeImage({ seed: each }));
    const [first = old, second = old] = images;
    for (const image of images)
      seed(registry, `${name}:${generationTag('1', image.digest)}`, image);
    seed(registry, `${name}:${moveTag('1', { at: 0, from: first.digest })}`, second);
    seed(registry, `${name}:1`, second);
    const signature = makeSignature(first);
    seed(registry, `${name}:${signature.tag}`, signature.image);
    seed(registry, name, makeReferrer(first, { artifactType: 'application/spdx+json' }));
    const verdict = ({ lines }: Run): string | undefined => lines[1]?.replace(/^.*?  .*?  /, '');
    const env = { KEEP_GENERATIONS: '1' };

    const report = await run(['prune', 'signed:1'], env);
    assert.equal(verdict(report), 'would be removed, with 2 signatures or attestations');
    assert.equal(
      report.lines.at(-1),
      '1 would be removed with KEEP_GENERATIONS=1; to remove them: image-cloner prune --apply signed:1',
    );

    const ignored = registry.faults.add(on('DELETE', 'manifest'), answer(202, { body: '' }));
    const stillTagged = await run(['prune', 'signed:1', '--apply'], env);
    assert.equal(
      verdict(stillTagged),
      'kept: the registry reported no error, but its tags still hold it',
    );
    assert.equal(
      stillTagged.lines.at(-1),
      'nothing was removed: the registry deletes later, or keeps the tags of a digest that it deletes',
    );
    ignored.end();

    const applied = await run(['prune', 'signed:1', '--apply'], env);
    assert.equal(verdict(applied), 'removed, with 2 signatures or attestations');
    assert.match(applied.lines.at(-1) ?? '', /^1 removed; /);
    assert.deepEqual(registry.store.manifests(name), [second.digest]);
  });

  it('just generations exits with 1 when the backup has no generation of an image', async () => {
    const end = await run(['generations', 'redis:7']);

    assert.equal(end.code, 1);
    assert.deepEqual(end.lines, [
      `${host}/backups/redis:7`,
      'the backup has no generation of redis:7',
    ]);
  });

  it('just generations never prints the password', async () => {
    registry.faults.add(() => true, answer(403));

    const end = await run(['generations', 'nginx:1.27']);

    assert.equal(end.code, 1);
    assert.match(end.stderr, /denied access to .*; check the user in registry-auth/);
    assert.ok(!end.stderr.includes('s3cret'));
  });

  it('generations --json and prune --json print one document and nothing else', async () => {
    const name = `${host}/backups/listed:1`;
    seed(registry, 'backups/listed:1', current);
    for (const image of [old, current]) {
      seed(registry, `backups/listed:${generationTag('1', image.digest)}`, image);
    }
    const move = moveTag('1', { at: Date.UTC(2026, 10, 25, 3, 34), from: old.digest });
    seed(registry, `backups/listed:${move}`, current);

    const listed = await run(['generations', '--json', 'listed:1']);
    const pruned = await run(['prune', '--json', 'listed:1'], { KEEP_GENERATIONS: '1' });

    assert.deepEqual([listed.code, listed.stderr, pruned.code, pruned.stderr], [0, '', 0, '']);
    assert.deepEqual(JSON.parse(listed.lines.join('\n')), {
      image: name,
      holds: current.digest,
      generations: [
        {
          digest: current.digest,
          isCurrent: true,
          isHeld: false,
          isGone: false,
          since: '2026-11-25T03:34:00.000Z',
          bytes: 3_147_088,
          platforms: [],
          tags: ['1', generationTag('1', current.digest), move].toSorted(),
        },
        {
          digest: old.digest,
          isCurrent: false,
          isHeld: false,
          isGone: false,
          platforms: ['linux/amd64', 'linux/arm64'],
          tags: [generationTag('1', old.digest)],
        },
      ],
    });
    assert.deepEqual(JSON.parse(pruned.lines.join('\n')), {
      keep: 1,
      rows: [{ images: [name], digest: old.digest, status: 'removable', attachmentCount: 0 }],
    });
  });

  it('generations --json escapes characters that a terminal acts on', async () => {
    const hostile = makeIndex([makeImage({ platform: 'li\u001b[2J\u009b2J\u202e/amd64' })]);
    seed(registry, `backups/wild:${generationTag('1', hostile.digest)}`, hostile);
    seed(registry, 'backups/wild:1', hostile);

    const { lines } = await run(['generations', '--json', 'wild:1']);

    assert.ok(lines.join('').includes(String.raw`"li\u001b[2J\u009b2J\u202e/amd64"`));
    assert.doesNotMatch(lines.join(''), /[\p{Cc}\p{Cf}]/u);
  });
});
