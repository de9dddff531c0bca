import * as v from 'valibot';
import { kubectl } from '../kubectl.ts';

/** The metrics of one pod that `status` shows. */
export interface PodMetrics {
  /** Absent if the pod has answered no review since its start. */
  readonly lastReviewMs?: number;
  readonly isBackupUp: boolean;
}

/** The port of probes and metrics in both wirings. */
const port = 8080;

const podList = v.object({
  items: v.array(
    v.object({
      metadata: v.object({ name: v.string() }),
      status: v.optional(v.object({ phase: v.optional(v.string(), '') }), { phase: '' }),
    }),
  ),
});

/** Reads metrics through the API server; `undefined` for a pod that a NetworkPolicy hides from it. */
export async function readPodMetrics(
  namespace: string,
  name: string,
): Promise<readonly (PodMetrics | undefined)[]> {
  const selector = `--selector=serving.knative.dev/service=${name}`;
  const own = `--namespace=${namespace}`;
  const list = await kubectl(['get', 'pods', own, selector, '--output=json']);
  if (list.code !== 0) return [];
  const { items } = v.parse(podList, JSON.parse(list.stdout));
  const running = items.filter(({ status }) => status.phase === 'Running');
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
