import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { knownWorkloads } from '../../lib/install/rules.ts';
import { settingVariables } from '../../lib/install/settings.ts';

const readme = await readFile('knative/README.md', 'utf8');

/** Variables whose default depends on others; the table describes it in words. */
const derived = new Set(['SERVICE_NAME', 'SERVICE_NAMESPACE']);

describe('knative/README.md', () => {
  it('knative/README.md lists the variables of gen and deploy with their defaults', () => {
    const [, after = ''] = readme.split('\n## Variables of an installation\n');
    const [section = ''] = after.split('\n## ');
    const table = [...section.matchAll(/^\| `([A-Z_]+)` \| (?:`([^`]*)`)?/gm)].map(
      ([, name = '', value = '']) => [name, derived.has(name) ? '' : value],
    );

    assert.deepEqual(
      table,
      settingVariables.map(({ name, default: value = '' }) => [name, value]),
    );
    for (const workload of knownWorkloads) assert.ok(section.includes(workload), workload);
  });

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
