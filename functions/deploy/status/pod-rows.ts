import type { PodMetrics } from './pods.ts';
import type { Row } from './row.ts';

/** What the pods say about reviews and the backup. No review is good: none arrives until a workload changes. */
export function toPodRows(pods: readonly (PodMetrics | undefined)[], now: Date): readonly Row[] {
  const readable = pods.filter((pod) => pod !== undefined);
  if (readable.length === 0) {
    const text =
      pods.length === 0 ? 'unknown: no pod' : 'unknown: the metrics of the pods cannot be read';
    return [{ what: 'last review', isGood: true, text }];
  }
  const times = readable.flatMap(({ lastReviewMs }) => lastReviewMs ?? []);
  const review =
    times.length === 0
      ? 'none since the pod started'
      : `answered ${toAge(now.getTime() - Math.max(...times))} ago`;
  const isUp = readable.every(({ isBackupUp }) => isBackupUp);
  const backup = isUp
    ? 'up, as of the last request'
    : 'the last request failed: new images are refused, or admitted uncopied with ON_ERROR=admit';
  return [
    { what: 'last review', isGood: true, text: review },
    { what: 'backup', isGood: isUp, text: backup },
  ];
}

function toAge(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}
