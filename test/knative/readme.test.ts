import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const readme = await readFile('knative/README.md', 'utf8');

describe('knative/README.md', () => {
  it('knative/README.md names only files that exist', () => {
    const [, after = ''] = readme.split('\n| file | what it is |\n');
    const [table = ''] = after.split('\n\n');
    const names = [...table.matchAll(/^\| ([^|]+) \|/gm)]
      .flatMap(([, cell = '']) => [...cell.matchAll(/`([^`]+)`/g)])
      .map(([, name = '']) => name);

    assert.ok(names.length > 5);
    for (const name of names) {
      assert.ok(existsSync(join('knative', name.replace('*', 'kourier'))), name);
    }
  });
});
