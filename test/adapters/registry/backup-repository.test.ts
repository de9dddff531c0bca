import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BackupRepository } from '../../../lib/index.ts';
import {
  answer,
  changeHeaders,
  cutBody,
  makeImage,
  makeIndex,
  makeReferrer,
  on,
  seed,
} from '../../../lib/memory-registry/index.ts';
import { type Bench, useBench } from './bench.ts';

const { signal } = new AbortController();
const image = makeImage({ layers: [1000, 2000] });
const index = makeIndex([image, makeImage({ platform: 'linux/arm/v7' })], { attestations: true });

const openBench = useBench();

async function open(
  ...options: Parameters<typeof openBench>
): Promise<{ readonly bench: Bench; readonly repository: BackupRepository }> {
  const bench = await openBench(...options);
  return { bench, repository: await bench.repository('acme/app') };
}

const thousand = Array.from({ length: 1000 }, (_, index) => `t${String(index).padStart(4, '0')}`);

/** Serves the pages of a list, each with the given `Link`, and then empty ones. */
function pages(
  { backup }: Bench,
  bodies: readonly { readonly tags: readonly string[] | null; readonly link?: string }[],
  options: { readonly times?: number } = {},
): void {
  const left = [...bodies];
  backup.faults.add(
    on('GET', 'tags'),
    async (exchange, next) => {
      const { tags = null, link } = left.shift() ?? {};
      const body = JSON.stringify({ name: 'acme/app', tags });
      const headers = link === undefined ? {} : { headers: { link } };
      return await answer(200, { body, ...headers })(exchange, next);
    },
    options,
  );
}

describe('openBackupRepository, tags', () => {
  it('lists all tags of a backup repository', async () => {
    const { bench, repository } = await open();
    seed(bench.backup, 'acme/app:1', image);
    seed(bench.backup, 'acme/app:2', image);

    assert.deepEqual(await repository.tags(signal), ['1', '2']);
  });

  it('retries a tag list whose connection was reset', async () => {
    const { bench, repository } = await open();
    seed(bench.backup, 'acme/app:1', image);
    bench.backup.faults.add(on('GET', 'tags'), cutBody(5), { times: 1 });

    assert.deepEqual(await repository.tags(signal), ['1']);
  });

  it('lists no tags if the registry answers 404, or null as the list', async () => {
    const { bench, repository } = await open();

    assert.deepEqual(await repository.tags(signal), []);
    pages(bench, [{ tags: null }]);
    assert.deepEqual(await repository.tags(signal), []);
  });

  const links = [
    ['a path', '</v2/acme/app/tags/list?last=2&n=2>; rel="next"'],
    ['no quotes', '</v2/acme/app/tags/list?last=2&n=2>; rel=next'],
    ['another host', '<http://169.254.169.254/v2/acme/app/tags/list?last=2&n=2>; rel="next"'],
    ['userinfo', '<http://a:b@evil.example/?last=2&n=2>; rel="next"'],
    ['another path', '</v2/other/secret/manifests/1?last=2&n=2>; rel="next"'],
    ['a unix socket', '<unix:///var/run/docker.sock?last=2&n=2>; rel="next"'],
  ] as const;
  for (const [what, link] of links) {
    it(`uses only the query of the next page's Link with ${what}`, async () => {
      const { bench, repository } = await open();
      pages(bench, [{ tags: ['1', '2'], link }, { tags: ['3'] }]);

      assert.deepEqual(await repository.tags(signal), ['1', '2', '3']);
      assert.deepEqual(
        bench.backup.requests.list({ kind: 'tags' }).map(({ path }) => path),
        [
          '/v2/acme/app/tags/list?n=1000',
          '/v2/acme/app/tags/list?last=2&n=2',
          '/v2/acme/app/tags/list?n=1000&last=3',
        ],
      );
    });
  }

  describe('without a Link, which the specification allows a registry to leave out', () => {
    it('asks for the names after the last one until a page brings nothing new', async () => {
      const { bench, repository } = await open();
      pages(bench, [{ tags: ['1', '2'] }, { tags: ['3'] }, { tags: ['4', '5'] }, { tags: [] }]);

      assert.deepEqual(await repository.tags(signal), ['1', '2', '3', '4', '5']);
      assert.deepEqual(
        bench.backup.requests.list({ kind: 'tags' }).map(({ path }) => path),
        [
          '/v2/acme/app/tags/list?n=1000',
          '/v2/acme/app/tags/list?n=1000&last=2',
          '/v2/acme/app/tags/list?n=1000&last=3',
          '/v2/acme/app/tags/list?n=1000&last=5',
        ],
      );
    });

    it('takes a whole list that the registry repeats, since it ignores the last name', async () => {
      const { bench, repository } = await open();
      pages(bench, [{ tags: ['1', '2'] }, { tags: ['1', '2'] }]);

      assert.deepEqual(await repository.tags(signal), ['1', '2']);
    });

    it('takes a list that is longer than the page it asked for', async () => {
      const { bench, repository } = await open();
      const whole = [...thousand, 'z'];
      pages(bench, [{ tags: whole }, { tags: whole }]);

      assert.deepEqual(await repository.tags(signal), whole);
    });

    it('ends where the last page begins again, as that of go-containerregistry does', async () => {
      const { bench, repository } = await open();
      pages(bench, [{ tags: thousand }, { tags: ['u', 'v'] }, { tags: thousand }]);

      assert.deepEqual(await repository.tags(signal), [...thousand, 'u', 'v']);
    });

    const unreliable = [
      ['repeats a full page', [thousand, thousand]],
      [
        'shrinks',
        [
          ['1', '2', '3'],
          ['1', '2'],
        ],
      ],
      ['is out of order', [['2', '1'], ['2']]],
      [
        'overlaps',
        [
          ['1', '3'],
          ['3', '4'],
        ],
      ],
    ] as const;
    for (const [what, tags] of unreliable) {
      it(`rejects a list that ${what}: names may be missing`, async () => {
        const { bench, repository } = await open();
        pages(
          bench,
          tags.map((page) => ({ tags: page })),
        );

        await assert.rejects(repository.tags(signal), {
          code: 'BACKUP_REFUSED',
          message: /listing its tags: its pages overlap, so names may be missing: try again later$/,
        });
      });
    }
  });

  for (const link of ['nonsense', '</x>; rel="prev"']) {
    it(`stops a tag list at the Link ${link}`, async () => {
      const { bench, repository } = await open();
      pages(bench, [{ tags: ['1'], link }]);

      assert.deepEqual(await repository.tags(signal), ['1']);
    });
  }

  for (const link of ['<http://[>; rel="next"', '</no/query>; rel="next"', 'rel="next"']) {
    it(`rejects a tag list with the invalid Link ${link}`, async () => {
      const { bench, repository } = await open();
      pages(bench, [{ tags: ['1'], link }]);

      await assert.rejects(repository.tags(signal), {
        code: 'BACKUP_REFUSED',
        message: /listing its tags: the Link to the next page is invalid/,
      });
    });
  }

  it('rejects a tag list whose pages repeat', async () => {
    const { bench, repository } = await open();
    const link = '<?last=1>; rel="next"';
    pages(bench, [
      { tags: ['1'], link },
      { tags: ['1'], link },
    ]);

    await assert.rejects(repository.tags(signal), {
      code: 'BACKUP_REFUSED',
      message: /did not serve .*: listing its tags: its pages do not end$/,
    });
  });

  it('rejects a tag list with a missing page', async () => {
    const { bench, repository } = await open();
    pages(bench, [{ tags: ['1'], link: '<?last=1>; rel="next"' }], { times: 1 });
    bench.backup.faults.add(on('GET', 'tags'), answer(404));

    await assert.rejects(repository.tags(signal), {
      message: /a page of the list does not exist \(404\)$/,
    });
  });

  for (const tag of ['../../other', 'a/b', 'a b', '', '\u001b[2J', 'x'.repeat(129)]) {
    it(`rejects a tag list with the invalid tag ${JSON.stringify(tag.slice(0, 12))}`, async () => {
      const { bench, repository } = await open();
      pages(bench, [{ tags: ['1', tag] }]);

      await assert.rejects(repository.tags(signal), {
        message: /the list contains an invalid name/,
      });
    });
  }

  it('rejects a response that is not a tag list', async () => {
    const { bench, repository } = await open();
    bench.backup.faults.add(on('GET', 'tags'), answer(200, { body: '<html>' }));

    await assert.rejects(repository.tags(signal), { message: /the response is not a list/ });
  });
});

describe('openBackupRepository', () => {
  it('resolves tags of the backup, and reports a 403 as denied instead of absent', async () => {
    const { bench, repository } = await open();
    seed(bench.backup, 'acme/app:1', image);

    assert.equal(await repository.resolve('1', signal), image.digest);
    assert.equal(await repository.resolve('2', signal), undefined);
    bench.backup.faults.add(() => true, answer(403));
    await assert.rejects(repository.resolve('1', signal), { code: 'BACKUP_DENIED' });
    await assert.rejects(repository.hasBlob(image.digest, signal), { code: 'BACKUP_DENIED' });
  });

  it('reads the children and blobs of a manifest in the backup', async () => {
    const { bench, repository } = await open();
    seed(bench.backup, 'acme/app:1', index);

    assert.deepEqual(await repository.read(image.digest, signal), {
      children: [],
      blobs: image.blobs.map(({ digest }) => digest),
      bytes: image.blobs.reduce((sum, { size }) => sum + size, 0),
      platforms: [],
    });
    assert.deepEqual(await repository.read(index.digest, signal), {
      children: index.children.map(({ digest }) => digest),
      blobs: [],
      platforms: ['linux/amd64', 'linux/arm/v7'],
    });
    assert.equal(await repository.read(`sha256:${'0'.repeat(64)}`, signal), undefined);
  });

  it('reads the subject of a referrer in the backup, and the referrers of an image', async () => {
    const { bench, repository } = await open();
    const referrer = makeReferrer(image, { artifactType: 'application/spdx+json' });
    for (const each of [image, referrer]) seed(bench.backup, 'acme/app', each);

    assert.equal((await repository.read(referrer.digest, signal))?.subject, image.digest);
    assert.deepEqual(await repository.referrers(image.digest, signal), [referrer.digest]);
    assert.deepEqual(await repository.referrers(referrer.digest, signal), []);
  });

  const lists = [
    ['null as the list', '{"schemaVersion":2,"manifests":null}'],
    ['an invalid digest', '{"schemaVersion":2,"manifests":[{"digest":"../../x"}]}'],
    ['no JSON', '<html>'],
  ] as const;
  for (const [what, body] of lists) {
    it(`finds no referrers in a response with ${what}`, async () => {
      const { bench, repository } = await open();
      const headers = { 'content-type': 'application/vnd.oci.image.index.v1+json' };
      bench.backup.faults.add(on('GET', 'referrers'), answer(200, { body, headers }));

      assert.deepEqual(await repository.referrers(image.digest, signal), []);
    });
  }

  it('finds no referrers in a registry without the referrers API', async () => {
    const { repository } = await open({ backup: { referrers: false } });

    assert.deepEqual(await repository.referrers(image.digest, signal), []);
  });

  it('tags a manifest with its bytes unchanged', async () => {
    const { bench, repository } = await open();
    seed(bench.backup, 'acme/app:1', index);

    await repository.tag(index.digest, '2', signal);

    assert.equal(bench.backup.store.manifest('acme/app', '2')?.digest, index.digest);
    await assert.rejects(repository.tag(`sha256:${'0'.repeat(64)}`, '3', signal), {
      code: 'BACKUP_NOT_FOUND',
    });
  });

  it('deletes a manifest by digest, also one that does not exist, and never a tag', async () => {
    const { bench, repository } = await open();
    seed(bench.backup, 'acme/app:1', image);

    await repository.remove(image.digest, signal);
    await repository.remove(image.digest, signal);

    assert.deepEqual(bench.backup.store.tags('acme/app'), []);
    await assert.rejects(repository.remove('1', signal), { name: 'TypeError' });
  });

  it("names the registry's setting if it does not allow deletion", async () => {
    const { bench, repository } = await open();
    seed(bench.backup, 'acme/app:1', image);
    bench.backup.faults.add(on('DELETE', 'manifest'), answer(405));

    await assert.rejects(repository.remove(image.digest, signal), {
      code: 'BACKUP_REFUSED',
      message: `the backup registry ${bench.backup.host} does not allow deletion (405); enable it, in distribution by storage.delete.enabled`,
    });
  });

  it('rejects a manifest whose digest differs from the requested one', async () => {
    const { bench, repository } = await open();
    seed(bench.backup, 'acme/app:1', image);
    bench.backup.faults.add(
      on('HEAD', 'manifest'),
      changeHeaders({ 'docker-content-digest': `sha256:${'1'.repeat(64)}` }),
    );

    await assert.rejects(repository.resolve(image.digest, signal), { code: 'BACKUP_REFUSED' });
  });
});
