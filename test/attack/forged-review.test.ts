import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  createMemoryRegistry,
  makeImage,
  seed,
  serveMemoryRegistry,
} from '../../lib/memory-registry/index.ts';
import type { Served } from '../adapters/registry/bench.ts';
import { deployment } from '../support/reviews.ts';
import { openPod, type Pod, passwords } from './pod.ts';

let pod: Pod;
beforeEach(async () => {
  pod = await openPod();
});
afterEach(async () => {
  await pod.close();
});

/** Every pod reaches the Service, so a review may be forged. */
describe('a forged review', () => {
  it('reveals no password in the response to a forged review', async () => {
    await pod.send({ object: deployment({ web: `${pod.source.host}/app:1` }) });
    await pod.send({ object: deployment({ web: `${pod.source.host}/absent:1` }) });

    for (const password of Object.values(passwords)) {
      assert.ok(!pod.said().includes(password));
      assert.ok(!pod.said().includes(btoa(`acme:${password}`)));
    }
  });

  it('sends no password to a registry that the forged review names', async () => {
    const registry = createMemoryRegistry({ auth: { scheme: 'basic', users: { acme: 'x' } } });
    const forgers: Served = { ...registry, ...(await serveMemoryRegistry({ registry })) };
    seed(forgers, 'app:1', makeImage());

    await pod.send({
      namespace: 'kube-system',
      username: 'system:kube-controller-manager',
      object: deployment({ web: `${forgers.host}/app:1` }),
    });
    await forgers.close();

    assert.deepEqual(
      forgers.requests.list().filter(({ headers }) => headers.has('authorization')),
      [],
    );
  });

  it('writes nothing to a registry for a forged dry run', async () => {
    const { allowed } = await pod.send({
      dryRun: true,
      object: deployment({ web: `${pod.source.host}/app:1` }),
    });

    assert.equal(allowed, true);
    assert.deepEqual(
      pod.backup.requests.list().filter(({ method }) => method !== 'GET' && method !== 'HEAD'),
      [],
    );
  });

  it('moves and removes no tag, whatever the old object of a forged review contains', async () => {
    await pod.send({ object: deployment({ web: `${pod.source.host}/app:1` }) });
    const repository = `acme/${pod.source.host.replace(':', '-')}/app`;
    const held = pod.backup.store.repositories().map((name) => pod.backup.store.tags(name));

    await pod.send({
      operation: 'DELETE',
      oldObject: deployment({ web: `${pod.source.host}/app:1` }),
    });
    await pod.send({
      object: deployment({ web: `${pod.backup.host}/${repository}:1` }),
      oldObject: deployment({ web: `${pod.source.host}/app:1` }),
    });

    assert.deepEqual(
      pod.backup.store.repositories().map((name) => pod.backup.store.tags(name)),
      held,
    );
    assert.equal(pod.backup.requests.count({ method: 'DELETE' }), 0);
  });

  it('logs a short line for a review with long names', async () => {
    const long = 'x'.repeat(1_000_000);

    await pod.send({ kind: `${long}/${long}`, operation: long, name: long, object: {} });

    assert.ok(pod.said().length < 2_000);
  });

  it('refuses a review with a namespace or uid of excessive length, since both are kept', async () => {
    const long = 'x'.repeat(1_000_000);
    const refusal = (field: string): object => ({
      code: 'INVALID_REVIEW',
      message: `not an AdmissionReview: request.${field} is too long`,
    });

    await assert.rejects(pod.send({ namespace: long, object: {} }), refusal('namespace'));
    await assert.rejects(pod.send({ uid: long, object: {} }), refusal('uid'));
  });

  it('logs one line for a review with line breaks in its names', async () => {
    const name = 'x\n{"level":"info","msg":"forged"}\u001b[2J';

    await pod.send({ name, namespace: name, username: name, object: deployment({}) });

    assert.equal(pod.said().includes('\u001b'), false);
    assert.equal(
      pod
        .said()
        .split('\n')
        .filter((line) => line.startsWith('{"level":"info","msg":"f')).length,
      0,
    );
  });
});
