import * as v from 'valibot';
import { kubectl } from '../kubectl.ts';

/** What a running webhook says of itself. */
export interface PodMetrics {
  /** Absent: none since it started. */
  readonly lastReviewMs?: number;
  readonly isBackupUp: boolean;
}

/** The port of the manifests, on which probes and metrics are, whatever the wiring. */
const port = 8080;

const podList = v.object({
  items: v.array(
    v.object({
      metadata: v.object({ name: v.string() }),
      status: v.optional(v.object({ phase: v.optional(v.string(), '') }), { phase: '' }),
    }),
  ),
});

/** Asks the pods, through the API server. What cannot be asked is `undefined`: a NetworkPolicy may keep even the API server out. */
export async function readPodMetrics(
  namespace: string,
  name: string,
): Promise<readonly (PodMetrics | undefined)[]> {
  const selector = `--selector=serving.knative.dev/service=${name}`;
  const found = await kubectl([
    'get',
    'pods',
    `--namespace=${namespace}`,
    selector,
    '--output=json',
  ]);
  if (found.code !== 0) return [];
  const { items } = v.parse(podList, JSON.parse(found.stdout));
  const running = items.filter(({ status }) => status.phase === 'Running');
  return await Promise.all(
    running.map(async ({ metadata }) => {
      const path = `/api/v1/namespaces/${namespace}/pods/${metadata.name}:${port}/proxy/metrics`;
      const { code, stdout } = await kubectl(['get', '--raw', path, '--request-timeout=5s']);
      return code === 0 ? parsePodMetrics(stdout) : undefined;
    }),
  );
}

/** Prometheus' text → the two of it that a person asks for first. */
export function parsePodMetrics(text: string): PodMetrics {
  const read = (name: string): number =>
    Number(new RegExp(`^image_cloner_${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 'NaN');
  const seconds = read('last_review_timestamp_seconds');
  return {
    ...(seconds > 0 && { lastReviewMs: seconds * 1_000 }),
    isBackupUp: read('backup_up') !== 0,
  };
}
