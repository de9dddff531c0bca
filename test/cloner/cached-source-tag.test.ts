import assert from 'node:assert/strict';
import { it } from 'node:test';
import { cacheResolve } from '../../lib/cloner/source/cached-resolver.ts';
import { type AdmissionHandler, createAdmissionHandler } from '../../lib/index.ts';
import { drainMicrotasks } from '../support/drain-microtasks.ts';
import { createFakeCloner, type FakeCloner, pushedDigest } from '../support/fake-cloner.ts';
import { deployment, policy, review } from '../support/reviews.ts';

const older = `sha256:${'a'.repeat(64)}`;
const newer = `sha256:${'b'.repeat(64)}`;

/** A replica that caches source tags, as with CLONER=docker. */
function start(cloner: FakeCloner): AdmissionHandler {
  return createAdmissionHandler({
    cloner: cacheResolve(cloner, { now: () => 0 }),
    policy: policy(),
    now: () => 0,
    wallClock: () => 0,
  });
}

async function send(handler: AdmissionHandler): Promise<boolean> {
  const options = { signal: new AbortController().signal, budgetMs: 9_000 };
  const object = deployment({ web: 'nginx:1.27' });
  return (await handler(review({ object }), options)).response.allowed;
}

it('a replica with a cached source tag does not move the backup tag back', async () => {
  const cloner = createFakeCloner({ keepsDigest: false });
  const [one, other] = [start(cloner), start(cloner)];
  cloner.put('nginx:1.27', older);
  await send(one);
  cloner.put('nginx:1.27', newer);
  await send(other);

  assert.equal(await send(one), true);

  assert.equal(cloner.tags('acme/nginx')['1.27'], pushedDigest(newer));
});

it('moves the backup tag after a dry run that cached the source tag a moment ago', async () => {
  const cloner = createFakeCloner({ keepsDigest: false });
  const handler = start(cloner);
  cloner.put('acme/nginx:1.27', pushedDigest(older));
  cloner.put('acme/nginx:1.27.f0f0aaaaaaaa', pushedDigest(older));
  cloner.put('nginx:1.27', newer);
  // The dry run caches the source tag.
  const dryRun = review({ object: deployment({ web: 'nginx:1.27' }), dryRun: true });
  await handler(dryRun, { signal: new AbortController().signal, budgetMs: 9_000 });

  assert.equal(await send(handler), true);

  assert.equal(cloner.tags('acme/nginx')['1.27'], pushedDigest(newer));
});

it('a replica with a cached source tag does not move the backup tag when the source has gone back', async () => {
  const cloner = createFakeCloner({ keepsDigest: false });
  const handler = start(cloner);
  cloner.put('acme/nginx:1.27', pushedDigest(older));
  cloner.put('acme/nginx:1.27.f0f0aaaaaaaa', pushedDigest(older));
  cloner.put('acme/nginx:1.27.from.aaaaaaaaaaaa', pushedDigest(older));
  cloner.put('nginx:1.27', newer);
  const release = cloner.pauseCopies();
  const moving = send(handler);
  await drainMicrotasks();
  assert.equal(cloner.begun.length, 1);
  cloner.put('nginx:1.27', older);

  release();

  assert.equal(await moving, true);
  assert.equal(cloner.tags('acme/nginx')['1.27'], pushedDigest(older));
});
