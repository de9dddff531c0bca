import { setTimeout as delay } from 'node:timers/promises';
import { pushImage } from '../../real/support/images.ts';
import { createTls } from '../../real/support/tls.ts';
import type { Bench } from '../bench.ts';
import { formatNumber, percentile, report, row, time } from '../figures.ts';
import { createReviewClient } from '../review-client.ts';
import { startBareServer } from '../servers/start-bare-server.ts';

const copies = 4;
/** Between two reviews. */
const intervalMs = 10;
const idleMs = 2_000;

/** Latencies in ms of reviews to both servers, sent alternately. */
interface Latencies {
  readonly ours: number[];
  readonly bare: number[];
}

/** Reviews that need no registry while copies on loopback run, beside a bare server. */
export async function benchDuringCopies(bench: Bench): Promise<void> {
  const tls = await createTls();
  const bare = await startBareServer(tls);
  const webhook = await bench.startWebhook('during', { tls });
  const clients = {
    copies: createReviewClient({ ...webhook, ca: tls.ca }),
    ours: createReviewClient({ ...webhook, ca: tls.ca }),
    bare: createReviewClient({ ...bare, ca: tls.ca }),
  };
  const image = `${bench.backup.host}/during/nginx:1.27`;
  const review = async (name: 'ours' | 'bare', latencies: Latencies): Promise<void> => {
    const seconds = await time(() => clients[name].review(image));
    latencies[name].push(seconds * 1_000);
  };
  /** Sends reviews at a fixed rate, because a sender that waits for each answer hardly meets the slow moments. */
  const reviewDuring = async (copying: Promise<unknown>, latencies: Latencies): Promise<void> => {
    const sent: Promise<void>[] = [];
    const end = new AbortController();
    const stop = copying.finally(() => end.abort());
    while (!end.signal.aborted) {
      for (const name of ['ours', 'bare'] as const) {
        sent.push(review(name, latencies));
        await delay(intervalMs);
      }
    }
    await Promise.all([stop, ...sent]);
  };

  const bytes = bench.mebibytes * 1024 * 1024;
  const [idle, busy] = [createLatencies(), createLatencies()];
  const rates: number[] = [];
  for (let round = 0; round <= bench.rounds; round += 1) {
    // The first round is a warm-up.
    const [without, during] = round === 0 ? [createLatencies(), createLatencies()] : [idle, busy];
    await reviewDuring(delay(idleMs), without);
    const names = Array.from({ length: copies }, (_, nth) => `library/during-${round}-${nth}:1`);
    for (const name of names) await pushImage(bench.source, name, { bytes });
    const copying = time(() =>
      Promise.all(names.map((name) => clients.copies.apply(`${bench.source.host}/${name}`))),
    );
    await reviewDuring(copying, during);
    if (round > 0) rates.push((copies * bench.mebibytes) / (await copying));
  }
  report(describe('no copy', idle));
  report(describe(`${copies} copies of ${bench.mebibytes} MiB`, busy));
  report(row('  their throughput', `${formatNumber(percentile(rates, 0.5))} MiB/s`));
  for (const client of Object.values(clients)) client.close();
  await Promise.all([webhook.stop(), bare.stop()]);
}

function createLatencies(): Latencies {
  return { ours: [], bare: [] };
}

function describe(what: string, { ours, bare }: Latencies): string {
  const columns = [0.5, 0.99].map((share) => {
    const [our, other] = [percentile(ours, share), percentile(bare, share)];
    return `p${share * 100}: ours ${formatNumber(our)} ms, bare ${formatNumber(other)} ms, ratio ${formatNumber(our / other)};`;
  });
  return row(what, ...columns, `${ours.length} reviews`);
}
