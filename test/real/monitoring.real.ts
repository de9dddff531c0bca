import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runProgram } from './support/program.ts';

/** promtool on the shipped alerts. */
describe('knative/monitoring/alerts.yaml', () => {
  it('the Prometheus alerts pass promtool check rules', async () => {
    const { code, stdout, stderr } = await runProgram('promtool', [
      'check',
      'rules',
      'knative/monitoring/alerts.yaml',
    ]);

    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /SUCCESS: 13 rules found/);
  });

  it('the Prometheus alerts pass promtool test rules', async () => {
    const { code, stdout, stderr } = await runProgram('promtool', [
      'test',
      'rules',
      'test/knative/alerts.promtool.yaml',
    ]);

    assert.equal(code, 0, `${stdout}${stderr}`);
  });
});
