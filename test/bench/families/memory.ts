import { pushImage } from '../../real/support/images.ts';
import type { Bench } from '../bench.ts';
import { report, row } from '../figures.ts';
import { readPeakMebibytes } from '../process-usage.ts';
import { createReviewClient } from '../review-client.ts';

const gibibyte = 1024 ** 3;

/** Peak memory of copies on loopback: of one large image, and then of four at once. */
export async function benchMemory({ source, startWebhook }: Bench): Promise<void> {
  const webhook = await startWebhook('memory');
  const client = createReviewClient(webhook);
  await pushImage(source, 'library/huge:1', { bytes: gibibyte });
  await client.apply(`${source.host}/library/huge:1`);
  report(row('peak memory, 1 GiB', `${await readPeakMebibytes(webhook.pid)} MiB`));
  const four = ['a', 'b', 'c', 'd'].map((name) => `library/quarter-${name}:1`);
  for (const name of four) await pushImage(source, name, { bytes: gibibyte / 4 });
  await Promise.all(four.map((name) => client.apply(`${source.host}/${name}`)));
  report(row('peak memory, then four at once', `${await readPeakMebibytes(webhook.pid)} MiB`));
  client.close();
  await webhook.stop();
}
