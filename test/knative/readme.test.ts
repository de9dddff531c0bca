import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { knownWorkloads } from '../../lib/install/rules.ts';
import { settingVariables } from '../../lib/install/settings.ts';

const readme = await readFile('knative/README.md', 'utf8');

/** What it says in words, of variables that depend on others. */
const spoken = new Set(['SERVICE_NAME', 'SERVICE_NAMESPACE']);

describe('knative/README.md', () => {
  it('has the table of the variables that gen and deploy read, with their defaults', () => {
    const [, after = ''] = readme.split('\n## Variables of an installation\n');
    const [section = ''] = after.split('\n## ');
    const table = [...section.matchAll(/^\| `([A-Z_]+)` \| (?:`([^`]*)`)?/gm)].map(
      ([, name = '', value = '']) => [name, spoken.has(name) ? '' : value],
    );

    assert.deepEqual(
      table,
      settingVariables.map(({ name, default: value = '' }) => [name, value]),
    );
    for (const workload of knownWorkloads) assert.ok(section.includes(workload), workload);
  });

  it('names files that are there', () => {
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
