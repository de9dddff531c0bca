import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type CertificateChain, createCertificateChain } from '../../../lib/install/certificate.ts';
import { readReport, renew } from '../../../lib/install/renewal/index.ts';
import { propertyRuns } from '../../support/property-runs.ts';
import {
  createFakeCluster,
  type FakeCluster,
  type FakeClusterOptions,
  toData,
} from './fake-cluster.ts';

const host = 'image-cloner.kourier-system.svc';
const made = new Date('2026-03-01T00:00:00.000Z');
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const { signal } = new AbortController();

function createChain(now: Date): Promise<CertificateChain> {
  return createCertificateChain({ hosts: [host], now });
}

/** Days after `made`; the certificate of `made` expires after 365. */
function day(days: number): Date {
  return new Date(made.getTime() + days * dayMs);
}

interface Run {
  /** The steps that it printed. */
  readonly printed: readonly string[];
  readonly end: string;
}

async function run({ store, readServed, now }: FakeCluster): Promise<Run> {
  const printed: string[] = [];
  const { text } = await renew(
    {
      store,
      readServed,
      install: { name: 'image-cloner', namespace: 'image-cloner' },
      now,
      print: (line) => printed.push(line),
    },
    signal,
  );
  return { printed, end: text };
}

const steps = {
  create: 'created the Secret, which did not exist, with a new certificate',
  prepare: 'created a new certificate, which is not used yet',
  discard: 'removed a prepared certificate that is no longer needed',
  trust: 'the webhook configuration trusts the old and the new CA',
  remember: 'noted the time, from which the next step has to wait',
  switch: 'the Secret has the new certificate',
  finish: 'the webhook configuration trusts the new CA only: the renewal is complete',
};

interface Start {
  readonly chain: CertificateChain;
  readonly cluster: FakeCluster;
}

/** An installation of `made` whose clock is at `now`. */
async function start(
  now: Date,
  change: (chain: CertificateChain) => Partial<FakeClusterOptions> = () => ({}),
): Promise<Start> {
  const chain = await createChain(made);
  const usual = { now, data: toData(chain), bundles: [chain.ca] };
  return { chain, cluster: createFakeCluster({ ...usual, ...change(chain) }) };
}

function servedUntil({ secret }: FakeCluster): string {
  return new X509Certificate(atob(secret()?.data['tls.crt'] ?? '')).validToDate.toISOString();
}

function trim(pem: string): string {
  return pem.trim();
}

describe('renew', () => {
  it('leaves a certificate with more than 30 days alone, and says when its renewal begins', async () => {
    const { cluster } = await start(day(334));

    const { printed, end } = await run(cluster);

    assert.deepEqual(printed, []);
    assert.equal(end, 'the next renewal begins at 2027-01-30T00:00:00.000Z');
  });

  it('renews in three daily runs, and no API server refuses any pod meanwhile', async () => {
    const { chain, cluster } = await start(day(335));

    const first = await run(cluster);
    assert.deepEqual(first.printed, [steps.prepare, steps.trust, steps.remember]);
    assert.equal(first.end, 'every API server trusts the new CA by 2027-01-30T01:00:00.000Z');
    assert.equal(servedUntil(cluster), '2027-03-01T00:00:00.000Z');
    const [[oldCa, newCa, ...others] = []] = cluster.bundles();
    assert.equal(oldCa, trim(chain.ca));
    assert.deepEqual(others, []);

    cluster.advance(dayMs);
    const second = await run(cluster);
    assert.deepEqual(second.printed, [steps.switch]);
    assert.match(second.end, /^every pod has the new certificate by /);
    assert.equal(servedUntil(cluster), '2028-01-30T00:00:00.000Z');
    assert.deepEqual(Object.keys(cluster.secret()?.data ?? {}).toSorted(), [
      'ca.crt',
      'tls.crt',
      'tls.key',
    ]);

    cluster.advance(dayMs);
    const third = await run(cluster);
    assert.deepEqual(third.printed, [steps.finish]);
    assert.equal(third.end, 'the next renewal begins at 2027-12-31T00:00:00.000Z');
    assert.deepEqual(cluster.bundles(), [[newCa]]);
    assert.deepEqual(cluster.refusals, []);
  });

  it('keeps trusting the old CA while one pod presents the old certificate, and names that pod', async () => {
    const { cluster } = await start(day(335));
    await run(cluster);
    cluster.setStuck(true);
    cluster.advance(dayMs);
    await run(cluster);
    cluster.advance(dayMs);

    const waiting = await run(cluster);
    assert.deepEqual(waiting.printed, []);
    assert.equal(
      waiting.end,
      'the old CA stays trusted: 10.0.0.2:8443 presents another certificate',
    );
    assert.deepEqual(readReport(cluster.secret()?.annotations ?? {}), {
      state: 'waiting',
      text: waiting.end,
      since: day(337),
    });

    cluster.setStuck(false);
    cluster.advance(dayMs);
    assert.deepEqual((await run(cluster)).printed, [steps.finish]);
    assert.deepEqual(cluster.refusals, []);
  });

  it('does not use a certificate within an hour after its CA is trusted, however often it runs', async () => {
    const { cluster } = await start(day(335));
    await run(cluster);

    cluster.advance(59 * 60_000);
    assert.deepEqual((await run(cluster)).printed, []);
    cluster.advance(60_000);
    assert.deepEqual((await run(cluster)).printed, [steps.switch]);
  });

  it('renews for every webhook of the configuration', async () => {
    const { cluster } = await start(day(335), ({ ca }) => ({ bundles: [ca, ca] }));
    for (const _ of [1, 2, 3]) {
      await run(cluster);
      cluster.advance(dayMs);
    }

    const [first, second] = cluster.bundles();
    assert.equal(first?.length, 1);
    assert.deepEqual(second, first);
    assert.deepEqual(cluster.refusals, []);
  });

  it('renews an installation of an older version, whose Secret has no CA', async () => {
    const { cluster } = await start(day(335), (chain) => {
      const { 'tls.crt': crt = '', 'tls.key': key = '' } = toData(chain);
      return { data: { 'tls.crt': crt, 'tls.key': key } };
    });
    for (const _ of [1, 2, 3]) {
      await run(cluster);
      cluster.advance(dayMs);
    }

    assert.equal(servedUntil(cluster), '2028-01-30T00:00:00.000Z');
    assert.equal(cluster.bundles()[0]?.length, 1);
    assert.deepEqual(cluster.refusals, []);
  });

  it('replaces an expired certificate in one run, since the API server rejects it anyway', async () => {
    const { cluster } = await start(day(400));

    const { printed } = await run(cluster);

    assert.deepEqual(
      printed,
      [steps.prepare, steps.trust, steps.switch, steps.remember].slice(0, 3),
    );
    assert.equal(servedUntil(cluster), day(400 + 365).toISOString());
    cluster.advance(dayMs);
    assert.deepEqual((await run(cluster)).printed, [steps.finish]);
  });

  for (const [what, change] of [
    [
      'has a key of another certificate',
      (other: CertificateChain) => ({ 'tls.key': btoa(other.key) }),
    ],
    ['is not a certificate', () => ({ 'tls.crt': btoa('lost') })],
  ] as const) {
    it(`replaces a certificate that ${what} in one run`, async () => {
      const other = await createChain(made);
      const { cluster } = await start(day(10), (chain) => ({
        data: { ...toData(chain), ...change(other) },
      }));

      assert.deepEqual((await run(cluster)).printed, [steps.prepare, steps.trust, steps.switch]);
      assert.equal(servedUntil(cluster), day(375).toISOString());
    });
  }

  it('replaces a certificate for another host only after an hour, since a deployment may be changing the host', async () => {
    const other = await createCertificateChain({ hosts: ['old.default.svc'], now: made });
    const cluster = createFakeCluster({ now: day(10), data: toData(other), bundles: [other.ca] });

    const first = await run(cluster);
    assert.deepEqual(first.printed, [steps.remember]);
    assert.match(first.end, /another host .* replaced after 2026-03-11T01:00:00.000Z$/);
    cluster.advance(hourMs);
    assert.deepEqual((await run(cluster)).printed, [steps.prepare, steps.trust, steps.switch]);
  });

  it('creates a lost Secret, and goes on trusting the certificate that pods still have in memory', async () => {
    const { chain, cluster } = await start(day(10));
    cluster.setData(undefined);

    const { printed } = await run(cluster);

    assert.deepEqual(printed, [steps.create, steps.remember]);
    const [bundle = []] = cluster.bundles();
    assert.equal(bundle.length, 2);
    assert.equal(bundle[0], trim(chain.ca));
    cluster.advance(dayMs);
    assert.deepEqual((await run(cluster)).printed, [steps.finish]);
  });

  it('fills in a webhook configuration that was applied without a CA', async () => {
    const { chain, cluster } = await start(day(10), () => ({ bundles: ['', ''] }));

    assert.deepEqual((await run(cluster)).printed, [steps.trust]);
    assert.deepEqual(cluster.bundles(), [[trim(chain.ca)], [trim(chain.ca)]]);
  });

  it('creates Secret and CA where neither exists', async () => {
    const { cluster } = await start(day(10), () => ({ data: undefined, bundles: [''] }));

    assert.deepEqual((await run(cluster)).printed, [steps.create]);
    assert.equal(servedUntil(cluster), day(375).toISOString());
    assert.equal(cluster.bundles()[0]?.length, 1);
  });

  it('trusts the CA again at once if another client has put an old bundle back', async () => {
    const { cluster } = await start(day(335));
    const old = cluster.bundles()[0]?.join('') ?? '';
    await run(cluster);
    cluster.advance(dayMs);
    await run(cluster);
    cluster.setBundles(old);

    const { printed } = await run(cluster);

    assert.deepEqual(printed, [steps.trust, steps.remember]);
    assert.equal(cluster.bundles()[0]?.length, 2);
  });

  it('waits an hour again if another client has changed the bundle since', async () => {
    const { cluster } = await start(day(335));
    const old = cluster.bundles()[0]?.join('') ?? '';
    await run(cluster);
    cluster.setBundles(old);
    cluster.advance(dayMs);

    assert.deepEqual((await run(cluster)).printed, [steps.trust, steps.remember]);
    cluster.advance(dayMs);
    assert.deepEqual((await run(cluster)).printed, [steps.switch]);
    assert.deepEqual(cluster.refusals, []);
  });

  it('drops its own new certificate if a deployment has replaced the old one', async () => {
    const { chain, cluster } = await start(day(335));
    await run(cluster);
    const deployed = await createChain(day(335));
    cluster.setBundles(`${chain.ca}${deployed.ca}`);
    cluster.advance(hourMs);
    cluster.setData({ ...cluster.secret()?.data, ...toData(deployed) });

    assert.deepEqual((await run(cluster)).printed, [steps.discard, steps.remember]);
    cluster.advance(dayMs);
    assert.deepEqual((await run(cluster)).printed, [steps.finish]);
    assert.deepEqual(cluster.bundles(), [[trim(deployed.ca)]]);
    assert.deepEqual(cluster.refusals, []);
  });

  it('leaves the CAs of a deployment that is under way alone', async () => {
    const { chain, cluster } = await start(day(10));
    const deployed = await createChain(day(10));
    cluster.setBundles(`${chain.ca}${deployed.ca}`);

    assert.deepEqual((await run(cluster)).printed, [steps.remember]);
    assert.equal(cluster.bundles()[0]?.length, 2);
  });

  it('refuses a certificate of a CA that the system of the API server trusts', async () => {
    const { cluster } = await start(day(335), (chain) => {
      const { 'tls.crt': crt = '', 'tls.key': key = '' } = toData(chain);
      return { data: { 'tls.crt': crt, 'tls.key': key }, bundles: [''] };
    });

    await assert.rejects(run(cluster), {
      message: /^the webhook configuration has no caBundle, .*set CERTIFICATES=files$/,
    });
    assert.equal(readReport(cluster.secret()?.annotations ?? {})?.state, 'failed');
  });

  it('reports a failed request in the annotation of the Secret, and good runs after it', async () => {
    let isDown = false;
    const { cluster } = await start(day(335), () => ({
      onRequest: (verb) => {
        if (isDown && verb === 'replaceBundles') throw new Error('cannot change it: HTTP 500');
      },
    }));
    isDown = true;
    await assert.rejects(run(cluster), { message: 'cannot change it: HTTP 500' });
    assert.deepEqual(readReport(cluster.secret()?.annotations ?? {}), {
      state: 'failed',
      text: 'cannot change it: HTTP 500',
      since: day(335),
    });
    isDown = false;

    assert.deepEqual((await run(cluster)).printed, [steps.trust, steps.remember]);
    assert.equal(readReport(cluster.secret()?.annotations ?? {})?.state, 'waiting');
  });

  it('writes nothing in a run that finds what the last one found', async () => {
    const writes: string[] = [];
    const { cluster } = await start(day(10), () => ({
      onRequest: (verb) => void (verb !== 'read' && writes.push(verb)),
    }));
    await run(cluster);
    cluster.advance(dayMs);
    writes.length = 0;

    await run(cluster);

    assert.deepEqual(writes, []);
  });

  it('leaves a Secret of cert-manager alone, and says whose it is', async () => {
    const { cluster } = await start(day(335), () => ({
      annotations: { 'cert-manager.io/certificate-name': 'web-tls' },
    }));

    await assert.rejects(run(cluster), {
      message:
        'the Secret image-cloner-tls belongs to the Certificate web-tls of cert-manager, which renews it: set CERTIFICATES=cert-manager',
    });
  });

  it('refuses to renew the certificate of a webhook outside the cluster', async () => {
    const { cluster } = await start(day(335), () => ({ callsUrl: true }));

    await assert.rejects(run(cluster), {
      message: /^the webhook configuration image-cloner calls a URL: renew .* by hand/,
    });
  });

  it('has nothing to renew while the webhook configuration has no webhook', async () => {
    const { chain, cluster } = await start(day(335), () => ({ bundles: [] }));

    const { end } = await run(cluster);

    assert.match(end, /^the webhook configuration image-cloner does not exist or has no webhook/);
    assert.equal(cluster.secret()?.data['tls.crt'], btoa(chain.certificate));
  });

  it('gives up with a sentence if its objects change at every attempt', async () => {
    let change = (): void => undefined;
    const { cluster, chain } = await start(day(335), () => ({
      onRequest: (verb) => {
        if (verb !== 'read') change();
      },
    }));
    change = () => cluster.setData(toData(chain));

    await assert.rejects(run(cluster), { message: /changes again and again/ });
  });
});

/** One day: up to two renewals at the same time, each of which may end before any of its requests. */
const arbitraryDay = fc.record({
  crashes: fc.array(fc.option(fc.nat({ max: 10 }), { nil: undefined, freq: 3 }), {
    minLength: 1,
    maxLength: 2,
  }),
  hours: fc.constantFrom(0.1, 0.6, 1, 5, 24),
  isStuck: fc.boolean(),
});

describe('renewals that crash and overlap', () => {
  it('no sequence of crashes and overlapping renewals makes an API server refuse a pod, and the renewal completes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(arbitraryDay, { maxLength: 8 }),
        async (s, days) => {
          const { cluster } = await start(day(335));
          for (const { crashes, hours, isStuck } of days) {
            cluster.setStuck(isStuck);
            const runs = crashes.map((crashAt) => run(withSchedule(cluster, s, crashAt)));
            await s.waitFor(Promise.allSettled(runs));
            cluster.advance(hours * hourMs);
          }
          cluster.setStuck(false);
          for (const _ of [1, 2, 3, 4]) {
            await run(cluster);
            cluster.advance(dayMs);
          }

          assert.deepEqual(cluster.refusals, []);
          assert.equal(cluster.bundles()[0]?.length, 1);
          assert.ok(servedUntil(cluster) >= day(335 + 365).toISOString());
          assert.equal(Object.keys(cluster.secret()?.data ?? {}).length, 3);
        },
      ),
      propertyRuns(300),
    );
  });

  it('every sequence of crashes and overlapping renewals ends with a lost Secret repaired', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(arbitraryDay, { maxLength: 5 }),
        async (s, days) => {
          const { cluster } = await start(day(10), () => ({ data: undefined }));
          for (const { crashes, hours } of days) {
            const runs = crashes.map((crashAt) => run(withSchedule(cluster, s, crashAt)));
            await s.waitFor(Promise.allSettled(runs));
            cluster.advance(hours * hourMs);
          }
          for (const _ of [1, 2, 3]) {
            await run(cluster);
            cluster.advance(dayMs);
          }

          assert.equal(cluster.bundles()[0]?.length, 1);
          assert.equal((await run(cluster)).end.startsWith('the next renewal begins at'), true);
        },
      ),
      propertyRuns(100),
    );
  });
});

/** Each request waits for its turn; from number `crashAt` on, all fail, as after the end of the process. */
function withSchedule(
  cluster: FakeCluster,
  s: fc.Scheduler,
  crashAt = Number.POSITIVE_INFINITY,
): FakeCluster {
  let requests = 0;
  const turn = async (): Promise<void> => {
    await s.schedule(Promise.resolve());
    requests += 1;
    if (requests > crashAt) throw new Error('crashed');
  };
  const { store } = cluster;
  return {
    ...cluster,
    store: {
      read: async (...args) => (await turn(), await store.read(...args)),
      createSecret: async (...args) => (await turn(), await store.createSecret(...args)),
      replaceSecret: async (...args) => (await turn(), await store.replaceSecret(...args)),
      replaceBundles: async (...args) => (await turn(), await store.replaceBundles(...args)),
    },
  };
}
