import assert from 'node:assert/strict';
import { push } from '../real/support/images.ts';
import type { Webhook } from '../real/support/webhook.ts';
import type { Bench } from './bench.ts';
import type { ColdImage } from './cold-images.ts';
import { compare, formatNumber, report, row, time } from './figures.ts';
import type { Peer } from './peers.ts';
import { readChildrenCpuSeconds, readCpuSeconds } from './process-usage.ts';
import type { ReviewClient } from './review-client.ts';

export interface Race extends ColdImage {
  /** The registry to copy from, or the network before it. */
  readonly from: { readonly host: string };
  readonly webhook: Pick<Webhook, 'pid'>;
  readonly client: ReviewClient;
  /** Size of the image: processor time is printed per GiB then. */
  readonly gibibytes?: number;
}

interface Contender {
  readonly name: string;
  /** Copies `source` and resolves with the copy's name; the webhook has its own rule for that. */
  readonly copy: (source: string, target: string) => Promise<string>;
  readonly readCpuSeconds: () => Promise<number>;
  readonly laps: Lap[];
}

interface Lap {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** Copies a new image in each round by kubectl and the webhook, and by each peer. The first round is a warm-up. */
export async function raceCopies(bench: Bench, race: Race): Promise<void> {
  const { path, from } = race;
  const retries: number[] = [];
  const ours = createOurs(race, retries);
  const peers = bench.peers.installed.map(toContender);
  const contenders = [ours, ...peers];
  for (let round = 0; round <= bench.rounds; round += 1) {
    const name = `library/${path}-${round}`;
    const image = race.make(name);
    await push(bench.source, name, image, '1');
    // Rotates the first one.
    const shift = round % contenders.length;
    for (const contender of [...contenders.slice(shift), ...contenders.slice(0, shift)]) {
      const target = `${bench.backup.host}/${contender.name}/${path}-${round}:1`;
      const copy = await run(contender, `${from.host}/${name}:1`, target);
      await expectDigest(bench, copy, image.digest);
    }
  }
  reportRace(race, ours, peers, retries);
}

function createOurs({ webhook, client }: Race, retries: number[]): Contender {
  return {
    name: 'ours',
    copy: async (source) => {
      const applied = await client.apply(source);
      retries.push(applied.retries);
      return applied.copy;
    },
    readCpuSeconds: () => readCpuSeconds(webhook.pid),
    laps: [],
  };
}

function toContender(peer: Peer): Contender {
  return {
    name: peer.name,
    copy: async (source, target) => {
      await peer.copy(source, target);
      return target;
    },
    readCpuSeconds: readChildrenCpuSeconds,
    laps: [],
  };
}

async function run(contender: Contender, source: string, target: string): Promise<string> {
  const cpuBefore = await contender.readCpuSeconds();
  let copy = '';
  const seconds = await time(async () => {
    copy = await contender.copy(source, target);
  });
  const cpuSeconds = (await contender.readCpuSeconds()) - cpuBefore;
  contender.laps.push({ seconds, cpuSeconds });
  return copy;
}

function reportRace(
  { what, gibibytes }: Race,
  ours: Contender,
  peers: readonly Contender[],
  retries: readonly number[],
): void {
  const line = (what: string, unit: string, read: (lap: Lap) => number): string => {
    const values = ({ laps }: Contender): readonly number[] => laps.slice(1).map(read);
    const others = peers.map((peer) => ({ name: peer.name, values: values(peer) }));
    return compare(what, values(ours), others, unit);
  };
  report(line(what, 's', ({ seconds }) => seconds));
  const cpuUnit = gibibytes === undefined ? 's' : 's/GiB';
  report(line('  processor time', cpuUnit, ({ cpuSeconds }) => cpuSeconds / (gibibytes ?? 1)));
  const [warmUp] = ours.laps;
  report(
    row(
      '  ours besides',
      `retry answers ${retries.slice(1).join(', ')};`,
      `the warm-up took ${formatNumber(warmUp?.seconds ?? Number.NaN)} s and`,
      `${formatNumber(warmUp?.cpuSeconds ?? Number.NaN)} s of processor time`,
    ),
  );
}

async function expectDigest({ backup }: Bench, copy: string, digest: string): Promise<void> {
  const [, path = '', tag = ''] = /^[^/]+\/([^@]+):([^@]+)/.exec(copy) ?? [];
  assert.equal(await backup.digest(path, tag), digest, `${copy} is not the image`);
}
