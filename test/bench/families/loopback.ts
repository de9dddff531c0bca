import { makeImage } from '../../../lib/memory-registry/index.ts';
import { startDockerDaemon } from '../../real/support/docker-daemon.ts';
import { pushImage } from '../../real/support/images.ts';
import { lookUpProgram } from '../../real/support/program.ts';
import type { Bench } from '../bench.ts';
import { raceCopies } from '../copy-race.ts';
import { compare, report, row, time } from '../figures.ts';
import { createReviewClient, type ReviewClient } from '../review-client.ts';

/** Copies between two registries on loopback, where only processor time counts. */
export async function benchLoopback(bench: Bench): Promise<void> {
  const bytes = bench.mebibytes * 1024 * 1024;
  const what = `copy of ${bench.mebibytes} MiB`;
  const webhook = await bench.startWebhook('ours');
  const client = createReviewClient(webhook);
  await raceCopies(bench, {
    what,
    path: 'loopback',
    from: bench.source,
    webhook,
    client,
    make: (seed) => makeImage({ layers: [bytes], seed }),
    gibibytes: bench.mebibytes / 1024,
  });

  const image = `${bench.source.host}/library/beside-docker:1`;
  await pushImage(bench.source, 'library/beside-docker:1', { bytes });
  const seconds = await time(() => client.apply(image));
  await compareWithDocker(bench, what, image, seconds);
  await countWhenPresent(bench, client, image);
  client.close();
  await webhook.stop();
}

async function compareWithDocker(
  bench: Bench,
  what: string,
  image: string,
  seconds: number,
): Promise<void> {
  if (lookUpProgram('dockerd') === undefined)
    return report('without dockerd, which is not in PATH');
  const daemon = await startDockerDaemon();
  const env = { CLONER: 'docker', DOCKER_HOST: daemon.dockerHost };
  const webhook = await bench.startWebhook('docker', { env });
  const client = createReviewClient(webhook);
  const values = [await time(() => client.apply(image))];
  report(compare(what, [seconds], [{ name: 'CLONER=docker', values }], 's'));
  client.close();
  await webhook.stop();
  await daemon.stop();
}

async function countWhenPresent(
  { source, backup }: Bench,
  client: ReviewClient,
  image: string,
): Promise<void> {
  await Promise.all([source.forgetRequests(), backup.forgetRequests()]);
  await client.apply(image);
  const requests = [...(await source.requests()), ...(await backup.requests())];
  report(row('nothing to copy', `${requests.length} requests`));
}
