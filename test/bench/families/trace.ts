import { setTimeout as delay } from 'node:timers/promises';
import { push } from '../../real/support/images.ts';
import type { Bench } from '../bench.ts';
import { coldImages } from '../cold-images.ts';
import { formatNumber, report, row, time } from '../figures.ts';
import { type LoggedRequest, startNetwork } from '../network.ts';
import { createReviewClient } from '../review-client.ts';

interface Step extends LoggedRequest {
  readonly side: 'source' | 'backup';
}

/** What goes on behind the answer has ended by then. */
const settleMs = 2_000;
/** Timers and the webhook itself take this long. */
const toleranceMs = 1;

/**
 * Every request of one cold copy by a warm process: when it was sent and when its response was complete, in ms. `>` marks the
 * chain that the copy waited for, from the answer backwards.
 */
export async function traceCopies(bench: Bench): Promise<void> {
  const backup = await startNetwork(bench.backup, { isNear: true });
  for (const image of coldImages) {
    const webhook = await bench.startWebhook('trace', { env: { REGISTRY: backup.host } });
    const client = createReviewClient(webhook);
    const copy = async (path: string): Promise<number> => {
      await push(bench.source, path, image.make(path), '1');
      await Promise.all([bench.network.takeTraffic(), backup.takeTraffic()]);
      return await time(() => client.apply(`${bench.network.host}/${path}:1`));
    };
    await copy(`warm-up/${image.path}`);
    const seconds = await copy(`trace/${image.path}`);
    await delay(settleMs);
    const traffic = {
      source: await bench.network.takeTraffic(),
      backup: await backup.takeTraffic(),
    };
    const steps = (['source', 'backup'] as const)
      .flatMap((side) => traffic[side].requests.map((request): Step => ({ ...request, side })))
      .toSorted((a, b) => a.sentAtMs - b.sentAtMs);
    report(
      row(
        image.what,
        `answered after ${formatNumber(seconds * 1_000)} ms;`,
        `source ${traffic.source.requests.length} requests, ${traffic.source.connections} connections;`,
        `backup ${traffic.backup.requests.length} requests, ${traffic.backup.connections} connections`,
      ),
    );
    const firstSentAtMs = steps[0]?.sentAtMs ?? 0;
    const chain = findChain(steps, firstSentAtMs + seconds * 1_000);
    for (const step of steps) report(formatStep(step, firstSentAtMs, chain.has(step)));
    client.close();
    await webhook.stop();
  }
  await backup.stop();
}

/** The last request before the answer, the last one that ended before that one began, and so on. */
function findChain(steps: readonly Step[], answeredAtMs: number): ReadonlySet<Step> {
  const chain = new Set<Step>();
  for (let untilMs = answeredAtMs; ; ) {
    const [last] = steps
      .filter((step) => !chain.has(step) && step.lastByteAtMs <= untilMs + toleranceMs)
      .toSorted((a, b) => b.lastByteAtMs - a.lastByteAtMs);
    if (last === undefined) return chain;
    chain.add(last);
    untilMs = last.sentAtMs;
  }
}

function formatStep(step: Step, firstSentAtMs: number, isInChain: boolean): string {
  const sinceStart = (ms: number): string => (ms - firstSentAtMs).toFixed(0).padStart(6);
  return [
    isInChain ? '>' : ' ',
    sinceStart(step.sentAtMs),
    sinceStart(step.lastByteAtMs),
    `${step.side}#${step.connection}`.padEnd(11),
    step.method.padEnd(5),
    String(step.status),
    step.path
      .replace(/^\/v2\/.*(?=\/(?:manifests|blobs|referrers)\/)/, '')
      .replace(/_state=[^&]*&?/, '')
      .replaceAll(/(sha256(?::|-|%3A)[0-9a-f]{8})[0-9a-f]{56}/g, '$1'),
  ].join(' ');
}
