import { pushImage } from '../../real/support/images.ts';
import { createTls } from '../../real/support/tls.ts';
import type { Webhook } from '../../real/support/webhook.ts';
import type { Bench } from '../bench.ts';
import { formatNumber, percentile, report, row, time } from '../figures.ts';
import { inParallel } from '../in-parallel.ts';
import { type Network, roundTripMs, startNetwork } from '../network.ts';
import { readCpuSeconds } from '../process-usage.ts';
import { createReviewClient } from '../review-client.ts';
import { startTlsRegistry } from '../servers/tls-registry.ts';

/** Different images, so that reviews at the same time ask different questions. */
const images = Array.from({ length: 64 }, (_, index) => `library/there-${index}:1`);

/** Reviews of an original name whose copy the backup has: source behind the network, https everywhere but to the backup. */
export async function benchReviews(bench: Bench): Promise<void> {
  const tls = await createTls();
  const source = await startTlsRegistry(bench.source, tls);
  const network = await startNetwork(source);
  await inParallel(4, images, (name) => pushImage(bench.source, name));
  const env = { REGISTRY_CA_FILE: source.caFile };
  const webhook = await bench.startWebhook('reviews', { tls, env });
  const client = createReviewClient({ ...webhook, ca: tls.ca });
  const review = (name: string): Promise<unknown> => client.apply(`${network.host}/${name}`);
  await inParallel(4, images, review);
  // Compiles the hot paths.
  await inParallel(16, [...images, ...images], review);

  const measured: Measured = { bench, network, webhook, review };
  await measure('one at a time', 1, 100 * bench.rounds, measured);
  await measure('16 at once', 16, 400 * bench.rounds, measured);
  client.close();
  await webhook.stop();
  await network.stop();
  await source.stop();
}

interface Measured {
  readonly bench: Bench;
  readonly network: Network;
  readonly webhook: Webhook;
  readonly review: (name: string) => Promise<unknown>;
}

async function measure(
  what: string,
  width: number,
  count: number,
  { bench, network, webhook, review }: Measured,
): Promise<void> {
  const names = Array.from({ length: count }, (_, index) => images[index % images.length] ?? '');
  const milliseconds: number[] = [];
  await network.takeTraffic();
  const connectionsBefore = await bench.backupConnections();
  const cpuBefore = await readCpuSeconds(webhook.pid);
  const seconds = await time(() =>
    inParallel(width, names, async (name) => {
      milliseconds.push((await time(() => review(name))) * 1_000);
    }),
  );
  const cpuSeconds = (await readCpuSeconds(webhook.pid)) - cpuBefore;
  const { connections } = await network.takeTraffic();
  const backupConnections = (await bench.backupConnections()) - connectionsBefore;
  const [p50, p99] = [percentile(milliseconds, 0.5), percentile(milliseconds, 0.99)];
  report(
    row(
      what,
      `p50 ${formatNumber(p50)} ms (${formatNumber(p50 / roundTripMs)} round trips),`,
      `p99 ${formatNumber(p99)} ms, ${formatNumber(count / seconds)} reviews/s,`,
      `${formatNumber((cpuSeconds / count) * 1_000)} ms of processor time a review,`,
      `new connections a review: source ${formatNumber(connections / count)},`,
      `backup ${formatNumber(backupConnections / count)}`,
    ),
  );
}
