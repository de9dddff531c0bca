import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { configVariables } from '../../lib/config/variables.ts';
import { knownWorkloads } from '../../lib/install/rules.ts';
import { settingVariables } from '../../lib/install/setting-variables.ts';

const text = await readFile('knative/configuration.md', 'utf8');

/** The text under a heading. */
function sectionOf(heading: string): string {
  const [, after = ''] = text.split(`\n## ${heading}\n`);
  return after.split('\n## ')[0] ?? '';
}

/** Names and defaults of the table rows of a section. A default in words, such as "Docker Hub", means no default. */
function rowsOf(section: string): readonly (readonly [name: string, value: string])[] {
  return [...section.matchAll(/^\| `([A-Z_]+)` \|(?: `([^`]*)`)?/gm)].map(
    ([, name = '', value = '']) => [name, value],
  );
}

/** Variables of an installation whose default depends on others; the table describes it in words. */
const derived = new Set(['WIRING', 'SERVICE_NAME', 'SERVICE_NAMESPACE', 'LABEL_VALUE']);

describe('knative/configuration.md', () => {
  it('knative/configuration.md lists every variable of the webhook in order, with its default', () => {
    assert.deepEqual(
      rowsOf(sectionOf('Variables of the webhook')),
      configVariables.map(({ name, default: value = '' }) => [name, value]),
    );
  });

  it('knative/configuration.md lists the variables of an installation with their defaults', () => {
    const section = sectionOf('Variables of an installation');

    assert.deepEqual(
      rowsOf(section).map(([name, value]) => [name, derived.has(name) ? '' : value]),
      settingVariables.map(({ name, default: value = '' }) => [name, value]),
    );
    for (const workload of knownWorkloads) assert.ok(section.includes(workload), workload);
  });
});
