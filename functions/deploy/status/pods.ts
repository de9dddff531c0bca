import type * as v from 'valibot';
import { kubectl } from '../kubectl.ts';
import type { podObject } from '../objects.ts';
import type { State } from './row.ts';

type Pod = v.InferOutput<typeof podObject>;

/** The metrics of one pod that `status` shows. */
export interface PodMetrics {
  /** Absent if the pod has answered no review since its start. */
  readonly lastReviewMs?: number;
  readonly isBackupUp: boolean;
}

/** The port of probes and metrics in both wirings. */
const port = 8080;

/**
 * Describes how many pods are ready, and the reasons of the others: Knative reports a Service as ready while its only pod
 * crashes.
 */
export function describePods(current: readonly Pod[], minScale: number): State {
  if (current.length === 0) {
    return minScale === 0
      ? { isGood: true, text: 'none (scaled to zero)' }
      : { isGood: false, text: `none, but MIN_SCALE is ${minScale}` };
  }
  const ready = current.filter(
    ({ status: { containerStatuses } }) =>
      containerStatuses.length > 0 && containerStatuses.every((each) => each.ready),
  );
  const reasons = current.flatMap(({ status: { phase, containerStatuses } }) => [
    ...(phase === 'Failed' ? [phase] : []),
    ...containerStatuses.flatMap(({ state }) => state.waiting?.reason || []),
  ]);
  const text = [`${ready.length} of ${current.length} ready`, ...new Set(reasons)].join(', ');
  return { isGood: ready.length > 0, text };
}

/** Reads metrics through the API server; `undefined` for a pod that a NetworkPolicy hides from it. */
export async function readPodMetrics(
  pods: readonly Pod[],
  namespace: string,
): Promise<readonly (PodMetrics | undefined)[]> {
  const running = pods.filter(({ status }) => status.phase === 'Running');
  return await Promise.all(
    running.map(async ({ metadata }) => {
      const path = `/api/v1/namespaces/${namespace}/pods/${metadata.name}:${port}/proxy/metrics`;
      const { code, stdout } = await kubectl(['get', '--raw', path, '--request-timeout=5s']);
      return code === 0 ? parsePodMetrics(stdout) : undefined;
    }),
  );
}

/** Parses the Prometheus text format. */
export function parsePodMetrics(text: string): PodMetrics {
  const read = (name: string): number =>
    Number(new RegExp(`^image_cloner_${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 'NaN');
  const seconds = read('last_review_timestamp_seconds');
  return {
    ...(seconds > 0 && { lastReviewMs: seconds * 1_000 }),
    isBackupUp: read('backup_up') !== 0,
  };
}
