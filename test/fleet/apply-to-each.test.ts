import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ApplyResult, applyToEach } from '../../lib/fleet/apply-to-each.ts';
import { storedWorkload } from '../support/fake-store.ts';

const storedWorkloads = ['a', 'b', 'c'].map((name) =>
  storedWorkload('deployments', { metadata: { name, namespace: 'shop' } }),
);

async function run(
  apply: (name: string, stop: () => void) => ApplyResult | Error,
): Promise<{ readonly isWell: boolean; readonly lines: readonly string[] }> {
  const lines: string[] = [];
  const stopping = new AbortController();
  const { signal } = stopping;
  const isWell = await applyToEach({
    storedWorkloads,
    apply: async ({ name }) => {
      const result = apply(name, () => stopping.abort());
      if (result instanceof Error) throw result;
      return await Promise.resolve(result);
    },
    print: (line) => lines.push(line),
    signal,
  });
  return { isWell, lines };
}

const rewritten: ApplyResult = { state: 'done', action: 'rewritten', notes: [] };

describe('applyToEach', () => {
  it('a run prints each changed object with its notes, and a summary', async () => {
    const { isWell, lines } = await run((name) =>
      name === 'a' ? { state: 'untouched' } : { ...rewritten, notes: [`note on ${name}`] },
    );

    assert.equal(isWell, true);
    assert.deepEqual(lines, [
      'shop deployment/b: rewritten',
      '  note on b',
      'shop deployment/c: rewritten',
      '  note on c',
      '3 objects: 1 untouched, 2 rewritten',
    ]);
  });

  it('a run continues after a failure and lists all failures at the end', async () => {
    const { isWell, lines } = await run((name) =>
      name === 'a'
        ? { state: 'failed', problem: 'no such image', stopsRun: false }
        : name === 'b'
          ? new Error('the API server is away')
          : rewritten,
    );

    assert.equal(isWell, false);
    assert.deepEqual(lines, [
      'shop deployment/a: failed: no such image',
      'shop deployment/b: failed: the API server is away',
      'shop deployment/c: rewritten',
      '3 objects: 2 failed, 1 rewritten',
      'failed:',
      '  shop deployment/a: no such image',
      '  shop deployment/b: the API server is away',
    ]);
  });

  it('a run stops after a failure that the next objects could share', async () => {
    const { isWell, lines } = await run((name) =>
      name === 'b' ? { state: 'failed', problem: 'it does not start', stopsRun: true } : rewritten,
    );

    assert.equal(isWell, false);
    assert.deepEqual(lines.slice(2), [
      '3 objects: 1 rewritten, 1 failed, 1 not reached',
      'failed:',
      '  shop deployment/b: it does not start',
      'stopped, because the next workloads could fail in the same way: fix the cause and run again',
    ]);
  });

  it('a run counts the objects that it did not reach when it is aborted', async () => {
    const { isWell, lines } = await run((name, stop) => {
      if (name === 'a') return rewritten;
      stop();
      return new Error('aborted');
    });

    assert.equal(isWell, false);
    assert.deepEqual(lines, [
      'shop deployment/a: rewritten',
      '3 objects: 1 rewritten, 2 not reached',
    ]);
  });
});
