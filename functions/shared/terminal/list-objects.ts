/** One object of a cluster; several rows of a report may be about it. */
export interface ObjectName {
  readonly namespace: string;
  /** `deployment/web` */
  readonly object: string;
}

/** More names of workloads than these do not help a reader. */
const maxNames = 3;

/** `shop deployment/web, shop job/a and 3 more` */
export function listObjects(rows: readonly ObjectName[]): string {
  const objects = toObjects(rows);
  const shown = objects.slice(0, maxNames).join(', ');
  return objects.length > maxNames ? `${shown} and ${objects.length - maxNames} more` : shown;
}

/** Each object once. */
export function toObjects(rows: readonly ObjectName[]): readonly string[] {
  return [...new Set(rows.map(({ namespace, object }) => `${namespace} ${object}`))];
}

/** `1 image`, `2 images` */
export function count(number: number, noun: string): string {
  return number === 1 ? `1 ${noun}` : `${number} ${noun}s`;
}
