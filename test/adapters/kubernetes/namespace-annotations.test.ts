import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createNamespaceAnnotations } from '../../../lib/adapters/kubernetes/namespace-annotations.ts';
import type { NamespaceAnnotations } from '../../../lib/index.ts';
import type { Lookup } from '../../../lib/ports/index.ts';
import { createMemoryLog, type MemoryLog } from '../../support/memory-log.ts';

const { signal } = new AbortController();
type Answer = Lookup<ReadonlyMap<string, string>>;

function createSetup(answer: Answer): {
  readonly annotations: NamespaceAnnotations;
  readonly log: MemoryLog;
  readonly requests: readonly string[];
  readonly at: (ms: number) => void;
} {
  let time = 0;
  const requests: string[] = [];
  const log = createMemoryLog();
  const annotations = createNamespaceAnnotations({
    reader: {
      readAnnotations: async (namespace) => {
        requests.push(namespace);
        return answer;
      },
    },
    logger: log.logger,
    now: () => time,
  });
  return {
    annotations,
    log,
    requests,
    at: (ms) => {
      time = ms;
    },
  };
}

const found = new Map([['image-cloner/on-error', 'admit']]);

describe('createNamespaceAnnotations', () => {
  it('caches the annotations of a namespace for five seconds', async () => {
    const { annotations, requests, at } = createSetup({ status: 'found', found });

    assert.deepEqual(await annotations.read('shop', signal), found);
    at(4_999);
    await annotations.read('shop', signal);
    assert.deepEqual(requests, ['shop']);
    at(5_000);
    await annotations.read('shop', signal);
    assert.deepEqual(requests, ['shop', 'shop']);
  });

  it('logs once that RBAC does not allow reading namespaces', async () => {
    const { annotations, log, at } = createSetup({ status: 'forbidden' });

    for (const ms of [0, 10_000, 20_000]) {
      at(ms);
      assert.equal(await annotations.read('shop', signal), undefined);
    }

    assert.deepEqual(log.lines, [
      {
        level: 'warn',
        fields: {},
        message:
          'NAMESPACE_OVERRIDES has no effect: RBAC does not allow reading namespaces; apply knative/namespace-overrides.yaml',
      },
    ]);
  });

  for (const status of ['absent', 'unavailable'] as const) {
    it(`returns no annotations and logs nothing when the namespace is ${status}`, async () => {
      const { annotations, log } = createSetup({ status });

      assert.equal(await annotations.read('shop', signal), undefined);
      assert.deepEqual(log.lines, []);
    });
  }

  it('does not cache the annotations of a namespace that was unavailable', async () => {
    const { annotations, requests } = createSetup({ status: 'unavailable' });
    await annotations.read('shop', signal);
    await annotations.read('shop', signal);

    assert.equal(requests.length, 2);
  });
});
