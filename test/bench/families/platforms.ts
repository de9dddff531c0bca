import assert from 'node:assert/strict';
import { push } from '../../real/support/images.ts';
import type { Bench } from '../bench.ts';
import { coldImages } from '../cold-images.ts';
import { compare, report, time } from '../figures.ts';
import { createReviewClient } from '../review-client.ts';

/** Copies of one platform by PLATFORMS, beside copies of the whole image. */
export async function benchPlatforms(bench: Bench): Promise<void> {
  const [image] = coldImages;
  assert.ok(image);
  const webhooks = [
    await bench.startWebhook('one-platform', { env: { PLATFORMS: 'linux/amd64' } }),
    await bench.startWebhook('all-platforms'),
  ];
  const clients = webhooks.map((webhook) => createReviewClient(webhook));
  const laps = clients.map((): number[] => []);
  for (let round = 0; round <= bench.rounds; round += 1) {
    const path = `library/${image.path}-of-${round}`;
    await push(bench.source, path, image.make(path), '1');
    for (const [nth, client] of clients.entries()) {
      const seconds = await time(() => client.apply(`${bench.network.host}/${path}:1`));
      // The first round is a warm-up.
      if (round > 0) laps[nth]?.push(seconds);
    }
  }
  const [one = [], all = []] = laps;
  report(compare(`PLATFORMS=linux/amd64 of 8`, one, [{ name: 'all', values: all }], 's'));
  for (const client of clients) client.close();
  await Promise.all(webhooks.map((webhook) => webhook.stop()));
}
