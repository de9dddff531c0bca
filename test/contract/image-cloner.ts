import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { CopyProgress, CopyRequest, Credentials, ImageCloner, Side } from '../../lib/index.ts';
import { copyWithTags } from '../support/copy-with-tags.ts';

/** Two registries and the cloner under test, set up by the adapter's test. */
export interface ClonerBench {
  readonly cloner: ImageCloner;
  /** Host of a public registry. */
  readonly source: string;
  /** Host of a registry that requires `credentials`, unless the suite has `isOpen`. */
  readonly backup: string;
  readonly credentials: Credentials;
  /** A host without a server. */
  readonly deadHost: string;
  /** Puts an image into `source` and returns its digest. */
  publish(path: string, tag: string): Promise<string>;
  /** Digest of a tag of `backup`. */
  held(path: string, tag: string): Promise<string | undefined>;
  close(): Promise<void>;
}

interface SuiteOptions {
  /** Whether the backup takes any credentials, because its registry has no authentication. @default false */
  readonly isOpen?: boolean;
}

/** Cases that every `ImageCloner` passes: the fake, and each adapter on fakes and on real servers. */
export function describeImageCloner(
  name: string,
  open: () => Promise<ClonerBench>,
  { isOpen = false }: SuiteOptions = {},
): void {
  describe(`${name} as an ImageCloner`, () => {
    const { signal } = new AbortController();
    let bench: ClonerBench;
    before(async () => {
      bench = await open();
    });
    after(async () => {
      await bench.close();
    });

    async function request(path: string, changes: Partial<CopyRequest> = {}): Promise<CopyRequest> {
      const digest = await bench.publish(path, '1');
      return {
        source: { domain: bench.source, path, tag: '1', digest },
        sourceAccess: { side: 'source' },
        target: { domain: bench.backup, path: `acme/${path}` },
        targetAccess: { side: 'backup', credentials: bench.credentials },
        firstTag: 'first',
        ...changes,
      };
    }

    it('resolves a tag to the digest that the registry holds', async () => {
      const digest = await bench.publish('contract/resolve', '1');
      const image = { domain: bench.source, path: 'contract/resolve', tag: '1' };

      const found = await bench.cloner.resolve(image, { side: 'source' }, signal);

      assert.deepEqual(found, { digest, isIndex: false });
    });

    it('resolves an image by digest to that digest', async () => {
      const digest = await bench.publish('contract/resolve', '1');
      const image = { domain: bench.source, path: 'contract/resolve', digest };

      const found = await bench.cloner.resolve(image, { side: 'source' }, signal);

      assert.equal(found?.digest, digest);
    });

    const absent = [
      ['tag', 'contract/resolve', 'nope'],
      ['repository', 'contract/nothing', '1'],
    ] as const;
    for (const [what, path, tag] of absent) {
      it(`resolves a missing ${what} to undefined`, async () => {
        await bench.publish('contract/resolve', '1');

        const found = await bench.cloner.resolve(
          { domain: bench.source, path, tag },
          { side: 'source' },
          signal,
        );

        assert.equal(found, undefined);
      });
    }

    const refused: readonly (readonly [string, Credentials | undefined])[] = [
      ['no credentials', undefined],
      ['a wrong password', { username: 'acme', password: 'wrong' }],
    ];
    for (const [what, credentials] of isOpen ? [] : refused) {
      for (const side of ['source', 'backup'] satisfies Side[]) {
        it(`rejects with a denial of the ${side} for ${what}`, async () => {
          const image = { domain: bench.backup, path: 'acme/contract', tag: '1' };

          await assert.rejects(bench.cloner.resolve(image, { side, credentials }, signal), {
            name: 'CloneError',
            code: side === 'source' ? 'SOURCE_DENIED' : 'BACKUP_DENIED',
          });
        });
      }
    }

    it('names the side that cannot be reached', async () => {
      const image = { domain: bench.deadHost, path: 'a/b', tag: '1' };

      await assert.rejects(bench.cloner.resolve(image, { side: 'source' }, signal), {
        code: 'SOURCE_UNAVAILABLE',
      });
      await assert.rejects(bench.cloner.resolve(image, { side: 'backup' }, signal), {
        code: 'BACKUP_UNAVAILABLE',
      });
    });

    it('copies an image and writes every tag with the digest that it reports', async () => {
      const copyRequest = await request('contract/copy');

      const { digest } = await copyWithTags(bench.cloner, copyRequest, ['second', 'last']);

      for (const tag of ['first', 'second', 'last']) {
        assert.equal(await bench.held('acme/contract/copy', tag), digest, tag);
      }
      if (bench.cloner.selection === undefined) assert.equal(digest, copyRequest.source.digest);
    });

    it('copies the same image again to the same digest', async () => {
      const copyRequest = await request('contract/again');
      const first = await copyWithTags(bench.cloner, copyRequest, ['last']);

      const second = await copyWithTags(bench.cloner, copyRequest, ['last']);

      assert.equal(second.digest, first.digest);
      assert.equal(second.bytes, 0);
    });

    it('copies two images into one repository at the same time', async () => {
      const one = await request('contract/one', { firstTag: 'f1' });
      const two = await request('contract/two', { firstTag: 'f2' });
      const target = { domain: bench.backup, path: 'acme/contract/both' };

      const [first, second] = await Promise.all([
        copyWithTags(bench.cloner, { ...one, target }, ['one']),
        copyWithTags(bench.cloner, { ...two, target }, ['two']),
      ]);

      assert.equal(await bench.held('acme/contract/both', 'one'), first?.digest);
      assert.equal(await bench.held('acme/contract/both', 'two'), second?.digest);
    });

    it('reports the progress of a copy in bytes', async () => {
      const seen: CopyProgress[] = [];

      await copyWithTags(
        bench.cloner,
        await request('contract/progress'),
        ['last'],
        signal,
        (progress) => {
          seen.push(progress);
        },
      );

      assert.ok(seen.length > 0);
      for (const { doneBytes, totalBytes } of seen) assert.ok(doneBytes <= totalBytes);
      assert.ok(seen.some(({ doneBytes }) => doneBytes > 0));
    });

    it('writes only the first tag until the policy requests more', async () => {
      const copyRequest = await request('contract/first');

      const copied = await bench.cloner.copy(copyRequest, signal, () => undefined);
      await copied.release();

      assert.equal(await bench.held('acme/contract/first', 'first'), copied.digest);
      assert.equal(await bench.held('acme/contract/first', 'last'), undefined);
    });

    it('stops writing tags with the abort reason of its signal', async () => {
      const reason = new Error('enough');
      const copyRequest = await request('contract/late');
      const copied = await bench.cloner.copy(copyRequest, signal, () => undefined);

      await assert.rejects(copied.writeTags(['last'], AbortSignal.abort(reason)), reason);
      await copied.release();

      assert.equal(await bench.held('acme/contract/late', 'last'), undefined);
    });

    it('rejects a copy if the source is gone, and writes nothing', async () => {
      const copyRequest = await request('contract/gone');
      const source = { ...copyRequest.source, digest: `sha256:${'0'.repeat(64)}` };

      await assert.rejects(
        bench.cloner.copy({ ...copyRequest, source }, signal, () => undefined),
        {
          code: 'SOURCE_NOT_FOUND',
        },
      );
      assert.equal(await bench.held('acme/contract/gone', 'first'), undefined);
    });

    if (!isOpen)
      it('rejects a copy if the backup denies a wrong password, and writes nothing', async () => {
        const copyRequest = await request('contract/denied', {
          targetAccess: { side: 'backup', credentials: { username: 'acme', password: 'wrong' } },
        });

        await assert.rejects(
          bench.cloner.copy(copyRequest, signal, () => undefined),
          {
            code: 'BACKUP_DENIED',
          },
        );
        assert.equal(await bench.held('acme/contract/denied', 'first'), undefined);
      });

    it('rejects a copy with the abort reason of its signal, and writes nothing', async () => {
      const reason = new Error('enough');
      const copyRequest = await request('contract/aborted');

      await assert.rejects(
        bench.cloner.copy(copyRequest, AbortSignal.abort(reason), () => undefined),
        reason,
      );
      assert.equal(await bench.held('acme/contract/aborted', 'last'), undefined);
    });
  });
}
