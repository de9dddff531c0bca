import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readArguments } from '../../../functions/shared/command-line/index.ts';
import {
  namespaceOperand,
  toWorkloadFlags,
  type WorkloadFlags,
  workloadOptions,
} from '../../../functions/shared/workload-flags.ts';

function read(args: readonly string[]): WorkloadFlags {
  const syntax = { name: 'restore', options: workloadOptions, operands: [namespaceOperand] };
  return toWorkloadFlags(readArguments(args, syntax));
}

describe('toWorkloadFlags', () => {
  it('backfill and restore wait for rollouts at a low rate, and only report, by default', () => {
    assert.deepEqual(read([]), {
      namespaces: [],
      apply: false,
      perMinute: 12,
      rolloutTimeoutMs: 600_000,
      problems: [],
    });
  });

  it('reads every flag of backfill and restore, and each namespace once', () => {
    const args = ['--apply', 'shop', '--rate', '60', '--no-wait', 'tools', 'shop'];

    assert.deepEqual(read(args), {
      namespaces: ['shop', 'tools'],
      apply: true,
      perMinute: 60,
      problems: [],
    });
  });

  it('reports every mistake in the flags of backfill and restore at once', () => {
    const args = ['--aply', '--rate=0', '--rollout-timeout', 'soon', '--apply=yes', 'Shop'];

    assert.deepEqual(read(args).problems, [
      '"Shop" is not the name of a namespace',
      '--rate must be a whole number from 1 to 6000',
      '--rollout-timeout must be a whole number from 1 to 86400',
      'unknown flag --aply; did you mean --apply?',
      '--apply takes no value',
    ]);
  });
});
