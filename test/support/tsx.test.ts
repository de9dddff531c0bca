import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';

/** Runs Node with another version in `process.versions`. */
async function runAs(version: string, args: readonly string[]): Promise<string> {
  const preload = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });`;
  const url = `data:text/javascript,${encodeURIComponent(preload)}`;
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { promise, resolve } = Promise.withResolvers<string>();
  execFile(
    process.execPath,
    ['--import', url, '--import', 'tsx', ...args],
    { env },
    (error, stdout, stderr) => resolve(`exit ${error?.code ?? 0}\n${stdout}${stderr}`),
  );
  return await promise;
}

describe('node --import tsx', () => {
  const file = 'test/util/edit-distance.test.ts';
  const sentence =
    'Node.js 22.19.0 is too old: 22.20 or newer is needed; "npm ci" installs one, which npm scripts, just and "npx node" use';

  it('runs a test file with Node 22.20', async () => {
    assert.match(await runAs('22.20.0', ['--test', file]), /^exit 0\n[^]*pass [1-9]/);
  });

  it('names the Node version that is needed when a test file runs with Node 22.19', async () => {
    const output = await runAs('22.19.0', ['--test', file]);

    assert.match(output, /^exit [12]\n/);
    assert.ok(output.includes(sentence), output);
  });

  it('names the Node version that is needed when an entrance runs with Node 22.19', async () => {
    assert.equal(await runAs('22.19.0', ['functions/gen/main.ts']), `exit 2\n${sentence}\n`);
  });
});
