import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTempDir } from '../../real/support/janitor.ts';
import { lookUpProgram, runOrThrow } from '../../real/support/program.ts';
import { createTls } from '../../real/support/tls.ts';
import type { Bench } from '../bench.ts';
import { compare, report } from '../figures.ts';
import { readCpuSeconds } from '../process-usage.ts';
import { startBareServer } from '../servers/start-bare-server.ts';

const reviewFile = 'test/fixtures/reviews/deployment-create.json';

/** What one run of wrk showed of a server. */
interface Load {
  readonly perSecond: number;
  readonly cpuMicroseconds: number;
}

/** Reviews of a workload whose images are in the backup: answered without a registry request. */
export async function benchHotReviews(bench: Bench): Promise<void> {
  if (lookUpProgram('wrk') === undefined) return report('not measured: wrk is not in PATH');
  const tls = await createTls();
  const bare = await startBareServer(tls);
  const webhook = await bench.startWebhook('acme', { tls });
  const script = join(createTempDir('wrk'), 'review.lua');
  await writeFile(script, toLua(await readFile(reviewFile, 'utf8'), bench.backup.host));
  const [ours, other] = [[] as Load[], [] as Load[]];
  for (let round = 0; round <= bench.rounds; round += 1) {
    const loads = { other: await load(bare, script), ours: await load(webhook, script) };
    // The first round is a warm-up.
    if (round === 0) continue;
    other.push(loads.other);
    ours.push(loads.ours);
  }
  const rows = [
    ['https, 16 connections', 'perSecond', '/s'],
    ['  processor time a review', 'cpuMicroseconds', 'µs'],
  ] as const;
  for (const [what, key, unit] of rows) {
    const values = other.map((load) => load[key]);
    const ourValues = ours.map((load) => load[key]);
    report(compare(what, ourValues, [{ name: 'bare', values }], unit));
  }
  await Promise.all([webhook.stop(), bare.stop()]);
}

/** A recorded review whose images are in the backup. */
function toLua(review: string, backup: string): string {
  const body = review.replaceAll(/("image": ")[^"]+"/g, `$1${backup}/acme/nginx:1.27"`);
  return [
    'wrk.method = "POST"',
    'wrk.headers["Content-Type"] = "application/json"',
    `wrk.body = [==[${body}]==]`,
  ].join('\n');
}

async function load(
  { url, pid }: { readonly url: string; readonly pid: number },
  script: string,
): Promise<Load> {
  const before = await readCpuSeconds(pid);
  const output = await runOrThrow('wrk', [
    '-t1',
    '-c16',
    '-d4s',
    '-s',
    script,
    `${url}/clone-image`,
  ]);
  const cpuSeconds = (await readCpuSeconds(pid)) - before;
  assert.ok(!output.includes('Non-2xx'), output);
  const reviews = Number(/(\d+) requests in/.exec(output)?.[1]);
  return {
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]),
    cpuMicroseconds: (cpuSeconds / reviews) * 1_000_000,
  };
}
