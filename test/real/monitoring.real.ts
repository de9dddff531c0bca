import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runProgram } from './support/program.ts';

/** Prometheus' own tool, on what we ship. */
describe('knative/monitoring/alerts.yaml', () => {
  it('is read by Prometheus', async () => {
    const { code, stdout, stderr } = await runProgram('promtool', [
      'check',
      'rules',
      'knative/monitoring/alerts.yaml',
    ]);

    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /SUCCESS: 10 rules found/);
  });

  it('fires when it should, and only then', async () => {
    const { code, stdout, stderr } = await runProgram('promtool', [
      'test',
      'rules',
      'test/knative/alerts.promtool.yaml',
    ]);

    assert.equal(code, 0, `${stdout}${stderr}`);
  });
});
