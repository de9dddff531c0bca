import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type AdmissionHandler,
  createAdmissionHandler,
  type WorkloadSecrets,
} from '../../lib/index.ts';
import { createHold, makeImage, seed } from '../../lib/memory-registry/index.ts';
import { type Bench, useBench } from '../adapters/registry/bench.ts';
import { deployment, policy, review } from '../support/reviews.ts';

const image = makeImage({ seed: 'shared' });
const openBench = useBench();

const noSecrets: WorkloadSecrets = {
  keyring: async () => ({ keyring: { find: () => [] }, warnings: [] }),
  serviceAccountSecrets: async () => [],
  hasSecret: async () => undefined,
  forget: () => undefined,
};

function start({ cloner, backup }: Bench, workloadSecrets?: WorkloadSecrets): AdmissionHandler {
  return createAdmissionHandler({
    cloner,
    ...(workloadSecrets !== undefined && { workloadSecrets }),
    policy: policy({ backup: { domain: backup.host, namespace: 'acme', naming: 'flat' } }),
  });
}

interface SendOptions {
  readonly dryRun?: boolean;
  readonly namespace?: string;
  readonly signal?: AbortSignal;
}

async function send(
  handler: AdmissionHandler,
  { source }: Bench,
  {
    dryRun = false,
    namespace = 'default',
    signal = new AbortController().signal,
  }: SendOptions = {},
): Promise<{ readonly allowed: boolean; readonly message: string }> {
  const object = deployment({ web: `${source.host}/app:1` });
  const body = review({ object, dryRun, namespace });
  const { response } = await handler(body, { signal, budgetMs: 20_000 });
  return { allowed: response.allowed, message: response.status?.message ?? '' };
}

const isTagCheck = ({ method, path }: { method: string; path: string }): boolean =>
  method === 'HEAD' && path.endsWith('/manifests/1');

/** A source that holds its answer about the tag. */
async function openSlowSource(): Promise<{
  readonly bench: Bench;
  readonly hold: ReturnType<typeof createHold>;
}> {
  const bench = await openBench();
  seed(bench.source, 'app:1', image);
  const hold = createHold();
  bench.source.faults.add(isTagCheck, hold.fault);
  return { bench, hold };
}

describe('createEnsureBackup for concurrent reviews', () => {
  it('sends the requests of one copy for two hundred reviews of a new image, and ten more at most', async () => {
    const alone = await openBench();
    seed(alone.source, 'app:1', image);
    await send(start(alone), alone);
    const requestsOf = ({ source, backup }: Bench): number =>
      source.requests.list().length + backup.requests.list().length;
    const { bench, hold } = await openSlowSource();
    const handler = start(bench);

    const answers = Array.from({ length: 200 }, () => send(handler, bench));
    await hold.waiting();
    hold.release();

    for (const { allowed, message } of await Promise.all(answers)) assert.ok(allowed, message);
    assert.equal(bench.source.requests.list().filter(isTagCheck).length, 1);
    assert.ok(requestsOf(bench) <= requestsOf(alone) + 10, `${requestsOf(bench)} requests`);
  });

  it('asks the source for a dry run and for a real write separately', async () => {
    const { bench, hold } = await openSlowSource();
    const handler = start(bench);

    const answers = [false, true].map((dryRun) => send(handler, bench, { dryRun }));
    await hold.waiting();
    hold.release();
    await Promise.all(answers);

    assert.equal(bench.source.requests.list().filter(isTagCheck).length, 2);
  });

  it('answers the other reviews when the first one hangs up', async () => {
    const { bench, hold } = await openSlowSource();
    const handler = start(bench);
    const hangUp = new AbortController();
    const first = send(handler, bench, { signal: hangUp.signal });
    const second = send(handler, bench);
    await hold.waiting();

    hangUp.abort();
    assert.equal((await first).allowed, false);
    hold.release();

    assert.deepEqual(await second, { allowed: true, message: '' });
    assert.equal(bench.source.requests.list().filter(isTagCheck).length, 1);
  });

  it('asks the source and the backup at the same time', async () => {
    const { bench, hold } = await openSlowSource();
    const backupHold = createHold();
    bench.backup.faults.add(isTagCheck, backupHold.fault);

    const answer = send(start(bench), bench);
    // Each waits for the other one to arrive.
    await Promise.all([hold.waiting(), backupHold.waiting()]);
    backupHold.release();
    hold.release();

    assert.deepEqual(await answer, { allowed: true, message: '' });
    assert.equal(bench.source.requests.list().filter(isTagCheck).length, 1);
  });

  for (const { namespaces, asked, often } of [
    { namespaces: ['team-a', 'team-a'], asked: 1, often: 'once' },
    { namespaces: ['team-a', 'team-b'], asked: 2, often: 'twice' },
  ]) {
    it(`asks the source ${often} for ${namespaces.join(' and ')} if their pull secrets may open it`, async () => {
      const { bench, hold } = await openSlowSource();
      const handler = start(bench, noSecrets);

      const answers = namespaces.map((namespace) => send(handler, bench, { namespace }));
      await hold.waiting();
      hold.release();
      await Promise.all(answers);

      assert.equal(bench.source.requests.list().filter(isTagCheck).length, asked);
    });
  }
});
