import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';

const readme = await readFile('README.md', 'utf8');

/** Cells of the table rows under a heading that begin with a name in backticks, as written. */
function rowsUnder(heading: string): readonly (readonly string[])[] {
  const [, after = ''] = readme.split(`\n## ${heading}\n`);
  const [section = ''] = after.split('\n## ');
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .map((cell) => cell.trim())
        .slice(1, -1),
    );
}

function bare(cell: string): string {
  return cell.replaceAll('`', '');
}

describe('README', () => {
  it('README describes what to do for every error code that a user sees', async () => {
    const errors = await readFile('lib/errors.ts', 'utf8');
    const plain = [...errors.matchAll(/\| '([A-Z]+_[A-Z_]+)'/g)].map(([, code = '']) => code);
    const reasons = [
      'NOT_FOUND',
      'DENIED',
      'RATE_LIMITED',
      'UNAVAILABLE',
      'UNSUPPORTED',
      'REFUSED',
    ];
    const sides = ['SOURCE', 'BACKUP'].flatMap((side) =>
      reasons.map((reason) => `${side}_${reason}`),
    );
    const unseen = new Set(['INVALID_REVIEW', 'INTERRUPTED', ...reasons]);
    const expected = [...plain.filter((code) => !unseen.has(code)), ...sides];

    const told = rowsUnder('When it says no').flatMap(([codes = '']) => bare(codes).split(', '));

    assert.deepEqual(told.toSorted(), expected.toSorted());
  });

  it('README has no more than 240 lines', () => {
    assert.ok(readme.split('\n').length <= 240);
  });
});
