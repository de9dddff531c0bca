import assert from 'node:assert/strict';
import { push } from '../real/support/images.ts';
import type { Webhook } from '../real/support/webhook.ts';
import type { Bench } from './bench.ts';
import type { ColdImage } from './cold-images.ts';
import { compare, formatNumber, report, row, time } from './figures.ts';
import { readChildrenCpuSeconds, readCpuSeconds } from './process-usage.ts';
import type { ReviewClient } from './review-client.ts';

export interface Race extends ColdImage {
  /** The registry to copy from, or the network before it. */
  readonly from: { readonly host: string };
  readonly webhook: Pick<Webhook, 'pid'>;
  readonly client: ReviewClient;
  /** Prints processor seconds per GiB too. */
  readonly gibibytes?: number;
}

interface Lap {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** Copies a new image in each round by kubectl and the webhook, and by each peer. The first round is a warm-up. */
export async function raceCopies(bench: Bench, race: Race): Promise<void> {
  const { what, path, make, from, webhook, client } = race;
  const laps = new Map<string, Lap[]>();
  let retries = 0;
  const contenders = [
    {
      name: 'ours',
      readCpu: () => readCpuSeconds(webhook.pid),
      copy: async (image: string) => {
        const applied = await client.apply(image);
        retries += applied.retries;
        return applied.copy;
      },
    },
    ...bench.peers.installed.map((peer) => ({
      name: peer.name,
      readCpu: readChildrenCpuSeconds,
      copy: async (image: string, target: string) => {
        await peer.copy(image, target);
        return target;
      },
    })),
  ];

  for (let round = 0; round <= bench.rounds; round += 1) {
    const name = `library/${path}-${round}`;
    const image = make(`${path} ${round}`);
    await push(bench.source, name, image, '1');
    // Rotates who is first.
    const shift = round % contenders.length;
    for (const contender of [...contenders.slice(shift), ...contenders.slice(0, shift)]) {
      const cpuBefore = await contender.readCpu();
      let copy = '';
      const seconds = await time(async () => {
        const target = `${bench.backup.host}/${contender.name}/${path}-${round}:1`;
        copy = await contender.copy(`${from.host}/${name}:1`, target);
      });
      const lap = { seconds, cpuSeconds: (await contender.readCpu()) - cpuBefore };
      laps.set(contender.name, [...(laps.get(contender.name) ?? []), lap]);
      await expectDigest(bench, copy, image.digest);
    }
    if (round === 0) retries = 0;
  }

  const series = (name: string, read: (lap: Lap) => number): readonly number[] =>
    (laps.get(name) ?? []).slice(1).map(read);
  const others = (read: (lap: Lap) => number): Parameters<typeof compare>[2] =>
    bench.peers.installed.map(({ name }) => ({ name, values: series(name, read) }));
  const seconds = ({ seconds }: Lap): number => seconds;
  const { gibibytes = 1 } = race;
  const cpu = ({ cpuSeconds }: Lap): number => cpuSeconds / gibibytes;
  report(compare(what, series('ours', seconds), others(seconds), 's'));
  const cpuUnit = race.gibibytes === undefined ? 's' : 's/GiB';
  report(compare('  processor time', series('ours', cpu), others(cpu), cpuUnit));
  const first = laps.get('ours')?.[0];
  report(
    row(
      '  ours besides',
      `${formatNumber(retries / bench.rounds)} retry answers a copy;`,
      `the warm-up took ${formatNumber(first?.seconds ?? Number.NaN)} s and`,
      `${formatNumber(first?.cpuSeconds ?? Number.NaN)} s of processor time`,
    ),
  );
}

async function expectDigest({ backup }: Bench, copy: string, digest: string): Promise<void> {
  const [, path = '', tag = ''] = /^[^/]+\/([^@]+):([^@]+)/.exec(copy) ?? [];
  assert.equal(await backup.digest(path, tag), digest, `${copy} is not the image`);
}
