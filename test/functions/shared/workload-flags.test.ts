import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readFleetFlags } from '../../../functions/shared/workload-flags.ts';

const told = { usage: 'usage: backfill …', hasRefresh: true };

describe('readFleetFlags', () => {
  it('reports gently unless told otherwise', () => {
    assert.deepEqual(readFleetFlags([], told), {
      namespaces: [],
      apply: false,
      refresh: false,
      perMinute: 12,
      rolloutTimeoutMs: 600_000,
      asksForHelp: false,
      problems: [],
    });
  });

  it('reads all it knows', () => {
    const args = ['--apply', 'shop', '--refresh', '--rate', '60', '--no-wait', 'tools', 'shop'];

    assert.deepEqual(readFleetFlags(args, told), {
      namespaces: ['shop', 'tools'],
      apply: true,
      refresh: true,
      perMinute: 60,
      asksForHelp: false,
      problems: [],
    });
  });

  it('tells every mistake at once', () => {
    const args = ['--aply', '--rate=0', '--rollout-timeout', 'soon', '--apply=yes', 'Shop'];

    assert.deepEqual(readFleetFlags(args, told).problems, [
      'there is no flag --aply',
      '--apply takes no value',
      '--rate must be a whole number from 1 to 6000',
      '--rollout-timeout must be a whole number from 1 to 86400',
      '"Shop" is not the name of a namespace',
      'usage: backfill …',
    ]);
  });

  it('knows --refresh only where there is something to refresh', () => {
    const { problems } = readFleetFlags(['--refresh'], { ...told, hasRefresh: false });

    assert.equal(problems[0], 'there is no flag --refresh');
  });
});
