import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createNamespaceAnnotations } from '../../../lib/adapters/kubernetes/namespace-annotations.ts';
import type { NamespaceAnnotations } from '../../../lib/index.ts';
import type { Lookup } from '../../../lib/ports/index.ts';
import { createMemoryLog, type MemoryLog } from '../../support/memory-log.ts';

const { signal } = new AbortController();
type Answer = Lookup<ReadonlyMap<string, string>>;

function stage(answer: Answer): {
  readonly annotations: NamespaceAnnotations;
  readonly log: MemoryLog;
  readonly asked: readonly string[];
  readonly at: (ms: number) => void;
} {
  let time = 0;
  const asked: string[] = [];
  const log = createMemoryLog();
  const annotations = createNamespaceAnnotations({
    reader: {
      readAnnotations: async (namespace) => {
        asked.push(namespace);
        return answer;
      },
    },
    logger: log.logger,
    now: () => time,
  });
  return {
    annotations,
    log,
    asked,
    at: (ms) => {
      time = ms;
    },
  };
}

const found = new Map([['image-cloner/on-error', 'admit']]);

describe('createNamespaceAnnotations', () => {
  it('asks once in five seconds', async () => {
    const { annotations, asked, at } = stage({ status: 'found', found });

    assert.deepEqual(await annotations.read('shop', signal), found);
    at(4_999);
    await annotations.read('shop', signal);
    assert.deepEqual(asked, ['shop']);
    at(5_000);
    await annotations.read('shop', signal);
    assert.deepEqual(asked, ['shop', 'shop']);
  });

  it('says once where it may not ask', async () => {
    const { annotations, log, at } = stage({ status: 'forbidden' });

    for (const ms of [0, 10_000, 20_000]) {
      at(ms);
      assert.equal(await annotations.read('shop', signal), undefined);
    }

    assert.deepEqual(log.lines, [
      {
        level: 'warn',
        fields: {},
        message:
          'NAMESPACE_OVERRIDES has no effect: namespaces may not be read, see knative/namespace-overrides.yaml',
      },
    ]);
  });

  for (const status of ['absent', 'unavailable'] as const) {
    it(`knows nothing where the answer is ${status}`, async () => {
      const { annotations, log } = stage({ status });

      assert.equal(await annotations.read('shop', signal), undefined);
      assert.deepEqual(log.lines, []);
    });
  }

  it('asks again at once after a silence', async () => {
    const { annotations, asked } = stage({ status: 'unavailable' });
    await annotations.read('shop', signal);
    await annotations.read('shop', signal);

    assert.equal(asked.length, 2);
  });
});
