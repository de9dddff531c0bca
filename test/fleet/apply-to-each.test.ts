import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type StepEnd, walk } from '../../lib/fleet/apply-to-each.ts';
import { storedWorkload } from '../support/fake-store.ts';

const storedWorkloads = ['a', 'b', 'c'].map((name) =>
  storedWorkload('deployments', { metadata: { name, namespace: 'shop' } }),
);

async function run(
  step: (name: string, stop: () => void) => StepEnd | Error,
): Promise<{ readonly isWell: boolean; readonly lines: readonly string[] }> {
  const lines: string[] = [];
  const stopping = new AbortController();
  const { signal } = stopping;
  const isWell = await walk({
    storedWorkloads,
    step: async ({ name }) => {
      const end = step(name, () => stopping.abort());
      if (end instanceof Error) throw end;
      return await Promise.resolve(end);
    },
    print: (line) => lines.push(line),
    signal,
  });
  return { isWell, lines };
}

const rewritten: StepEnd = { state: 'done', what: 'rewritten', notes: [] };

describe('walk', () => {
  it('tells of each object that was changed, and sums up', async () => {
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

  it('goes on past what fails, and lists it', async () => {
    const { isWell, lines } = await run((name) =>
      name === 'a'
        ? { state: 'failed', problem: 'no such image', endsRun: false }
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

  it('stops where the next would meet the same', async () => {
    const { isWell, lines } = await run((name) =>
      name === 'b' ? { state: 'failed', problem: 'it does not start', endsRun: true } : rewritten,
    );

    assert.equal(isWell, false);
    assert.deepEqual(lines.slice(2), [
      '3 objects: 1 rewritten, 1 failed, 1 not reached',
      'failed:',
      '  shop deployment/b: it does not start',
      'stopped there, so that no other workload meets the same; mend it and run this again',
    ]);
  });

  it('says what it did not reach when it is told to stop', async () => {
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
