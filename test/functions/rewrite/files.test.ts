import assert from 'node:assert/strict';
import { chmod, lstat, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { joinTexts, readFiles, writeInPlace } from '../../../functions/rewrite/files.ts';

describe('files of rewrite', () => {
  let dir: string;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'rewrite-'));
  });
  after(async () => {
    await rm(dir, { recursive: true });
  });

  it('names every file that cannot be read', async () => {
    const paths = [join(dir, 'a.yaml'), join(dir, 'b.yaml')];

    await assert.rejects(readFiles(paths), {
      name: 'ConfigError',
      message: `${paths[0]} cannot be read (ENOENT)\n${paths[1]} cannot be read (ENOENT)`,
    });
  });

  it('reads a file that is named twice once', async () => {
    const path = join(dir, 'twice.yaml');
    await writeFile(path, 'a: 1\n');

    assert.deepEqual(await readFiles([path, path]), [{ name: path, path, text: 'a: 1\n' }]);
  });

  it('keeps the permissions of a file that it writes', async () => {
    const path = join(dir, 'own.yaml');
    await writeFile(path, 'a: 1\n');
    await chmod(path, 0o640);

    await writeInPlace(path, 'a: 2\n');

    assert.equal(await readFile(path, 'utf8'), 'a: 2\n');
    assert.equal((await stat(path)).mode & 0o777, 0o640);
  });

  it('writes the file behind a link', async () => {
    const [path, link] = [join(dir, 'real.yaml'), join(dir, 'link.yaml')];
    await writeFile(path, 'a: 1\n');
    await symlink(path, link);

    await writeInPlace(link, 'a: 2\n');

    assert.equal(await readFile(path, 'utf8'), 'a: 2\n');
    assert.equal((await lstat(link)).isSymbolicLink(), true);
  });

  it('separates the documents of several files', () => {
    assert.equal(joinTexts(['a: 1', 'b: 1\n', '---\nc: 1\n']), 'a: 1\n---\nb: 1\n---\nc: 1\n');
  });
});
