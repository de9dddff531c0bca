import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Option, readArguments } from '../../../functions/shared/command-line/index.ts';
import {
  namespaceOperand,
  toApplyCommand,
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
      json: false,
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
      json: false,
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

describe('toApplyCommand', () => {
  it('repeats the namespaces and the switches of a report, and adds --apply', () => {
    const options: Readonly<Record<string, Option>> = {
      ...workloadOptions,
      refresh: { type: 'switch', summary: '' },
    };
    const args = readArguments(['--json', '--refresh', 'shop', 'tools'], {
      name: 'backfill',
      options,
      operands: [namespaceOperand],
    });

    assert.equal(
      toApplyCommand('backfill', args),
      'image-cloner backfill --apply --refresh shop tools',
    );
  });
});
