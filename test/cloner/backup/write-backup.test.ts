import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createImmutableTags } from '../../../lib/cloner/backup/immutable-tags.ts';
import {
  type BackupWrite,
  tagGeneration,
  writeBackup,
} from '../../../lib/cloner/backup/write-backup.ts';
import { CloneError } from '../../../lib/errors.ts';
import type { CopiedImage, ImageCloner } from '../../../lib/index.ts';
import { createFakeCloner, type FakeCloner } from '../../support/fake-cloner.ts';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'b'.repeat(64)}`;
const backup = { domain: 'docker.io', path: 'acme/nginx', tag: '1.27' };
const source = { domain: 'docker.io', path: 'library/nginx', tag: '1.27' };
const checked = {
  digest: A,
  isIndex: false,
  access: { side: 'source' },
  openedBy: 'anonymous',
} as const;

/** The backup fails the first attempt to write tags, and `meanwhile` happens before the next one. */
function failFirstTags(
  cloner: FakeCloner,
  error: CloneError,
  meanwhile = (): void => undefined,
): ImageCloner {
  let isFirst = true;
  return {
    ...cloner,
    async copy(request, signal, onProgress): Promise<CopiedImage> {
      const copied = await cloner.copy(request, signal, onProgress);
      return {
        ...copied,
        async writeTags(tags, within) {
          if (!isFirst) return await copied.writeTags(tags, within);
          isFirst = false;
          meanwhile();
          throw error;
        },
      };
    },
  };
}

function toWrite(cloner: ImageCloner): BackupWrite {
  return {
    cloner,
    backup,
    access: { side: 'backup' },
    signal: new AbortController().signal,
    adoptExisting: false,
    onProgress: () => undefined,
    wallClock: () => 0,
    backoff: () => Promise.resolve(),
    immutableTags: createImmutableTags({ now: () => 0 }),
  };
}

const transient = new CloneError('BACKUP_UNAVAILABLE', 'HTTP 503', { isTransient: true });

describe('writeBackup', () => {
  it('chooses the tags again before it repeats a write that failed', async () => {
    const cloner = createFakeCloner();
    cloner.put('nginx:1.27', A);
    const failing = failFirstTags(cloner, transient, () => {
      cloner.put('acme/nginx:1.27.hold', B);
    });
    cloner.put('acme/nginx:1.27', B);
    cloner.put('acme/nginx:1.27.bbbbbbbbbbbb', B);

    const state = { digest: B, isOurs: true };
    const { digest } = await writeBackup(toWrite(failing), source, checked, state, {
      digest: A,
    });

    assert.equal(digest, B);
    assert.equal(cloner.tags('acme/nginx')['1.27'], B);
    assert.ok(cloner.written.every((tag) => !tag.includes('.moved.')));
  });
});

describe('tagGeneration', () => {
  it('repeats a write of tags that failed', async () => {
    const cloner = createFakeCloner();
    cloner.put('acme/nginx:1.27.aaaaaaaaaaaa', A);
    cloner.put('acme/nginx:1.27', B);

    await tagGeneration(toWrite(failFirstTags(cloner, transient)), A, ['1.27']);

    assert.equal(cloner.tags('acme/nginx')['1.27'], A);
  });

  it('does not repeat a write of tags that was rejected', async () => {
    const cloner = createFakeCloner();
    cloner.put('acme/nginx:1.27.aaaaaaaaaaaa', A);
    const rejected = new CloneError('BACKUP_REFUSED', 'HTTP 400');

    await assert.rejects(
      tagGeneration(toWrite(failFirstTags(cloner, rejected)), A, ['1.27']),
      rejected,
    );
  });
});
