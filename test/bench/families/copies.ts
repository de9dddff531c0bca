import type { Bench } from '../bench.ts';
import { coldImages } from '../cold-images.ts';
import { raceCopies } from '../copy-race.ts';
import { createReviewClient } from '../review-client.ts';

/** Cold copies from a source behind the network, beside skopeo, crane and regctl. */
export async function benchCopies(bench: Bench): Promise<void> {
  for (const image of coldImages) {
    const webhook = await bench.startWebhook('ours');
    const client = createReviewClient(webhook);
    await raceCopies(bench, { ...image, from: bench.network, webhook, client });
    client.close();
    await webhook.stop();
  }
}
