import { setTimeout as delay } from 'node:timers/promises';
import { makeImage, makeIndex } from '../../../lib/memory-registry/index.ts';
import { push } from '../../real/support/images.ts';
import type { Bench } from '../bench.ts';
import { formatNumber, report, row, time } from '../figures.ts';
import { createReviewClient, type ReviewClient } from '../review-client.ts';

const reviews = 200;
/** What goes on behind an answer has ended by then. */
const settleMs = 3_000;

interface Outcome {
  readonly seconds: number;
  readonly retries: number;
  readonly source: number;
  readonly backup: number;
  readonly connections: number;
  readonly uploads: number;
}

/** Many reviews of one new image at once, beside one review of another one like it. */
export async function benchBurst(bench: Bench): Promise<void> {
  const webhook = await bench.startWebhook('ours');
  const client = createReviewClient(webhook);
  await apply(bench, client, 'warm-up', 1);
  for (let round = 1; round <= bench.rounds; round += 1) {
    const one = await apply(bench, client, `one-${round}`, 1);
    const many = await apply(bench, client, `many-${round}`, reviews);
    const added = many.source + many.backup - one.source - one.backup;
    report(describe('one review', one));
    report(row(describe(`${reviews} reviews at once`, many), `${added} requests beyond one copy`));
  }
  client.close();
  await webhook.stop();
}

async function apply(
  bench: Bench,
  client: ReviewClient,
  name: string,
  count: number,
): Promise<Outcome> {
  const path = `library/burst-${name}`;
  const children = ['linux/amd64', 'linux/arm64'].map((platform) =>
    makeImage({ platform, layers: Array(3).fill(256 * 1024), seed: name }),
  );
  await push(bench.source, path, makeIndex(children), '1');
  await bench.backup.forgetRequests();
  await bench.network.takeTraffic();
  let retries = 0;
  const seconds = await time(async () => {
    const image = `${bench.network.host}/${path}:1`;
    const applied = await Promise.all(Array.from({ length: count }, () => client.apply(image)));
    retries = applied.reduce((sum, { retries }) => sum + retries, 0);
  });
  await delay(settleMs);
  const { requests, connections } = await bench.network.takeTraffic();
  const backup = await bench.backup.requests();
  const uploads = backup.filter(({ method, path }) => method === 'PUT' && path.includes('/blobs/'));
  return {
    seconds,
    retries,
    source: requests.length,
    backup: backup.length,
    connections,
    uploads: uploads.length,
  };
}

function describe(what: string, outcome: Outcome): string {
  return row(
    what,
    `${formatNumber(outcome.seconds)} s,`,
    `${outcome.source} requests to the source on ${outcome.connections} new connections,`,
    `${outcome.backup} to the backup (${outcome.uploads} uploads),`,
    `${outcome.retries} retry answers`,
  );
}
