import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';

/** Runs a process without a terminal. */
async function confirmWith(isAgreed: boolean): Promise<object> {
  const script = `import { confirm } from './functions/shared/terminal/confirm.ts';
console.log(await confirm('Remove it?', ${isAgreed}));`;
  const { promise, resolve } = Promise.withResolvers<object>();
  execFile(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', script],
    { env: { PATH: process.env['PATH'] } },
    (_, stdout, stderr) => resolve({ stdout, stderr }),
  );
  return await promise;
}

describe('confirm', () => {
  it('answers no without a terminal, and names --yes', async () => {
    assert.deepEqual(await confirmWith(false), {
      stdout: 'false\n',
      stderr: 'Remove it? Without a terminal, add --yes.\n',
    });
  });

  it('asks nothing if --yes is given', async () => {
    assert.deepEqual(await confirmWith(true), { stdout: 'true\n', stderr: '' });
  });
});
