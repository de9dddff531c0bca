import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Image, makeImage, makeIndex, seed } from '../../lib/memory-registry/index.ts';
import { walk } from '../adapters/registry/bench.ts';
import { interruptionStep } from '../support/property-runs.ts';
import { openScene, type Scene } from './scene.ts';

const old = makeIndex([makeImage({ seed: 'old' })]);
const shared = new Uint8Array(20_000).fill(7);
const next = makeIndex(
  [makeImage({ seed: 'next', layers: [shared, 30_000] }), makeImage({ platform: 'linux/arm64' })],
  { attestations: true },
);

function generation({ digest }: Image): string {
  return `1.${digest.slice('sha256:'.length, 'sha256:'.length + 12)}`;
}

/** The backup's repository. */
function copies({ backup }: Scene): string {
  const [name = ''] = backup.store.repositories();
  return name;
}

/** Each tag is a complete image, and the old generation is still there. */
function assertNothingLost(scene: Scene): void {
  const { backup } = scene;
  const repository = copies(scene);
  for (const tag of backup.store.tags(repository)) walk(backup, repository, tag);
  assert.equal(backup.store.manifest(repository, generation(old))?.digest, old.digest);
  const held = backup.store.manifest(repository, '1')?.digest;
  assert.ok(held === old.digest || held === next.digest, `1 is ${held ?? 'gone'}`);
  // The plain tag moves last.
  if (held === next.digest) {
    assert.equal(backup.store.manifest(repository, generation(next))?.digest, next.digest);
  }
}

async function assertCompletes(scene: Scene): Promise<void> {
  scene.restart();
  const result = await scene.apply();

  assert.deepEqual([result.allowed, result.message, result.warnings], [true, undefined, []]);
  assertNothingLost(scene);
  assert.deepEqual(walk(scene.backup, copies(scene), '1'), walk(scene.source, 'app', '1'));
}

/** The backup holds the old image, and the source tag has moved. */
async function open(): Promise<Scene> {
  const scene = await openScene();
  seed(scene.source, 'app:1', old);
  assert.equal((await scene.apply()).allowed, true);
  seed(scene.source, 'app:1', next);
  scene.restart();
  return scene;
}

describe('a killed process', () => {
  for (const side of ['source', 'backup'] as const) {
    it(`a process killed at any request to the ${side} loses nothing, and the next process completes the copy`, async () => {
      let isSurvived = false;
      for (let last = 0; !isSurvived; last += interruptionStep) {
        const scene = await open();
        try {
          let requests = 0;
          // A killed process sends nothing more and receives no response.
          const dead = [scene.source, scene.backup].map((registry) =>
            registry.faults.add(
              () => true,
              async (exchange, next) => {
                if (registry === scene[side]) requests += 1;
                if (requests <= last) return await next(exchange);
                if (requests === last + 1 && registry === scene[side]) await next(exchange);
                exchange.connection?.destroy();
                return exchange.connection?.alreadySent ?? new Response();
              },
            ),
          );
          await scene.apply();
          isSurvived = requests <= last;
          for (const { end } of dead) end();
          assertNothingLost(scene);

          await assertCompletes(scene);
        } finally {
          await scene.close();
        }
      }
    });
  }

  it('a process killed at any byte of a layer loses nothing, and the next process completes the copy', async () => {
    const size = 30_000;
    for (let last = 0; last <= size; last += 1_500 * interruptionStep) {
      const scene = await open();
      try {
        const dead = scene.backup.faults.add(
          ({ method, kind }) => method === 'PUT' && kind === 'upload',
          async (exchange, next) => {
            async function* cut(): typeof exchange.body {
              let left = last;
              for await (const chunk of exchange.body) {
                yield chunk.subarray(0, Math.max(0, left));
                left -= chunk.length;
                if (left <= 0) break;
              }
              exchange.connection?.destroy();
            }
            await next({ ...exchange, body: cut() }).catch(() => undefined);
            exchange.connection?.destroy();
            return exchange.connection?.alreadySent ?? new Response();
          },
        );
        await scene.apply();
        dead.end();
        assertNothingLost(scene);

        await assertCompletes(scene);
      } finally {
        await scene.close();
      }
    }
  });
});

describe('two processes with one image', () => {
  it('two processes that copy one image at the same time make one complete backup', async () => {
    const scene = await open();
    try {
      const first = scene.apply();
      scene.restart();
      const second = scene.apply();

      assert.deepEqual(
        (await Promise.all([first, second])).map(({ allowed }) => allowed),
        [true, true],
      );
      assertNothingLost(scene);
      assert.deepEqual(walk(scene.backup, copies(scene), '1'), walk(scene.source, 'app', '1'));
    } finally {
      await scene.close();
    }
  });
});

describe('a clock change during a copy', () => {
  const day = 86_400_000;
  for (const [where, by] of [
    ['back a day', -day],
    ['forward a day', day],
  ] as const) {
    it(`a clock that moves ${where} during a copy causes no refusal, no second copy and no invalid duration`, async (t) => {
      t.mock.timers.enable({ apis: ['Date'], now: 40 * 365 * day });
      const scene = await openScene();
      try {
        seed(scene.source, 'app:1', old);
        const moved = scene.source.faults.add(
          () => true,
          async (exchange, next) => {
            t.mock.timers.setTime(Date.now() + by);
            return await next(exchange);
          },
        );
        const result = [await scene.apply(), await scene.apply()];

        assert.ok(moved.hits() > 2);
        for (const { allowed, message, audit } of result) {
          assert.deepEqual([allowed, message], [true, undefined]);
          assert.match(audit, /, \d+ bytes, \d+ ms$/);
        }
        assert.equal(scene.backup.requests.count({ method: 'PUT', kind: 'upload' }), 2);
      } finally {
        await scene.close();
      }
    });
  }
});
