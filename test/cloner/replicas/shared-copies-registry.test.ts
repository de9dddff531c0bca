import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openRegistryCloner } from '../../../lib/adapters/registry/index.ts';
import type { AdmissionReview } from '../../../lib/admission/review.ts';
import { createCopies } from '../../../lib/cloner/queue/copies.ts';
import { shareCopies } from '../../../lib/cloner/replicas/shared-copies.ts';
import { createAdmissionHandler } from '../../../lib/create-admission-handler.ts';
import { createHold, makeImage, on, seed } from '../../../lib/memory-registry/index.ts';
import { type Bench, openBench } from '../../adapters/registry/bench.ts';
import { createFakeClock, type FakeClock } from '../../support/fake-clock.ts';
import { createMemoryLeases, type MemoryLeases } from '../../support/memory-leases.ts';
import { createMemoryLog } from '../../support/memory-log.ts';
import { deployment, policy, review } from '../../support/reviews.ts';

const mebibyte = 1024 * 1024;
const budgetMs = 9_000;

interface Replica {
  readonly clock: FakeClock;
  /** Resolves with the answer; an aborted signal ends the wait at once. */
  send(signal?: AbortSignal): Promise<AdmissionReview>;
}

/** Two complete webhooks between the same two registries, with leases in memory. */
describe('two replicas that share leases', () => {
  let bench: Bench;
  let leases: MemoryLeases;
  let image: string;
  beforeEach(async () => {
    bench = await openBench();
    leases = createMemoryLeases();
    image = `${bench.source.host}/team/app:1`;
    seed(bench.source, 'team/app:1', makeImage({ layers: [mebibyte, 3 * mebibyte] }));
  });
  afterEach(async () => {
    await bench.close();
  });

  async function createReplica(holder: string): Promise<Replica> {
    const clock = createFakeClock();
    const { logger } = createMemoryLog();
    const hosts = [bench.source.host, bench.backup.host];
    const copies = shareCopies({
      copies: createCopies({ now: clock.now }),
      store: leases.store,
      holder,
      clock,
      logger,
    });
    const handler = createAdmissionHandler({
      cloner: openRegistryCloner({
        configuredHosts: hosts,
        insecureRegistries: hosts,
        trust: undefined,
        maxImageBytes: undefined,
        insideCluster: false,
        proxy: undefined,
        onResponse: () => undefined,
      }),
      copies,
      policy: policy({ backup: { domain: bench.backup.host, namespace: 'acme', naming: 'flat' } }),
      now: clock.now,
    });
    return {
      clock,
      send: (signal = new AbortController().signal) =>
        handler(review({ object: deployment({ web: image }) }), { signal, budgetMs }),
    };
  }

  /** Advances the clocks until `isDone`, because the copies use real connections. */
  async function until(
    isDone: () => boolean,
    { clock }: Replica,
    others: readonly Replica[] = [],
  ): Promise<void> {
    while (!isDone()) {
      for (const each of [clock, ...others.map((other) => other.clock)]) await each.advance(100);
    }
  }

  const countUploads = (): number => bench.backup.requests.count({ method: 'PUT', kind: 'upload' });
  const leasedTargets = (): string => [...leases.targets()].join();

  it('two replicas that review one image upload each blob once, and both admit', async () => {
    const hold = createHold();
    bench.source.faults.add(on('GET', 'blob'), hold.fault);
    const [a, b] = [await createReplica('a'), await createReplica('b')];
    const answers = [a.send(), b.send()];
    await hold.waiting(3);
    await until(() => leases.requests.filter((call) => call === 'list').length > 3, a, [b]);
    hold.release();

    let done = 0;
    for (const answer of answers) void answer.then(() => (done += 1));
    await until(() => done === 2, a, [b]);

    for (const answer of answers) assert.equal((await answer).response.allowed, true);
    assert.equal(countUploads(), 3);
    assert.equal(leasedTargets(), '');
    const audits = await Promise.all(answers.map(async (answer) => (await answer).response));
    const results = audits.map(({ auditAnnotations = {} }) =>
      String(Object.values(auditAnnotations)[0]).split(', ').at(1),
    );
    assert.deepEqual(
      results.toSorted((x, y) => x?.localeCompare(y ?? '') ?? 0),
      ['copied', 'present'],
    );
  });

  it('both replicas answer with the progress of the lease holder while a copy runs', async () => {
    const hold = createHold();
    let isFirst = true;
    bench.source.faults.add(
      ({ method, kind }) => method === 'GET' && kind === 'blob',
      (exchange, next) => {
        // The first blob arrives, so that there is progress to publish.
        const passes = isFirst;
        isFirst = false;
        return passes ? next(exchange) : hold.fault(exchange, next);
      },
    );
    const [a, b] = [await createReplica('a'), await createReplica('b')];
    const hangUps = [new AbortController(), new AbortController()];
    const first = a.send(hangUps[0]?.signal);
    await hold.waiting(2);
    const second = b.send(hangUps[1]?.signal);
    const isPublished = (): boolean =>
      (leases.at(leasedTargets())?.reading.now?.doneBytes ?? 0) > 0;
    await until(isPublished, a, [b]);
    await b.clock.advance(2_000);
    for (const hangUp of hangUps) hangUp.abort();

    const [own, others] = [await first, await second].map(({ response }) => response.status);
    assert.match(String(own?.message), /\d+ %, [\d.]+ of 4\.0 MiB/);
    const amount = /\d+ %, [\d.]+ of [\d.]+ MiB/;
    assert.equal(amount.exec(others?.message ?? '')?.[0], amount.exec(own?.message ?? '')?.[0]);
    assert.deepEqual([own?.code, others?.code], [504, 504]);
    hold.release();
    await until(() => leasedTargets() === '', a);
  });

  it('a replica takes over the copy of a dead replica', async () => {
    const hold = createHold();
    bench.source.faults.add(on('GET', 'blob'), hold.fault, { times: 3 });
    const [dead, b] = [await createReplica('dead'), await createReplica('b')];
    const lost = dead.send();
    await hold.waiting(3);
    // The dead replica does nothing from here on: its clock stands still and its layers are held.
    const answer = b.send();
    let isDone = false;
    void answer.then(() => (isDone = true));

    await until(() => isDone, b);

    assert.equal((await answer).response.allowed, true);
    assert.ok(b.clock.now() >= 15_000, `${b.clock.now()} ms`);
    assert.equal(countUploads(), 3);
    assert.equal(leasedTargets(), '');
    hold.release();
    await dead.clock.advance(10_000);
    await until(() => leasedTargets() === '', dead);
    assert.equal((await lost).response.allowed, true);
  });
});
