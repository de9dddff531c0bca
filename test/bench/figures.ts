/** The median; of an even count the upper one. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** One row of the report: both medians, and the ratios of the pairs, measured alternately. */
export function compare(
  what: string,
  ours: readonly number[],
  other: { readonly name: string; readonly values: readonly number[] },
  unit: string,
): string {
  const ratios = ours.map((value, index) => value / (other.values[index] ?? Number.NaN));
  const [least, most] = [Math.min(...ratios), Math.max(...ratios)];
  return [
    what.padEnd(34),
    `ours ${median(ours).toFixed(2)} ${unit}`.padEnd(20),
    `${other.name} ${median(other.values).toFixed(2)} ${unit}`.padEnd(28),
    `ratio ${median(ratios).toFixed(2)} (${least.toFixed(2)}–${most.toFixed(2)}, ${ratios.length} pairs)`,
  ].join(' ');
}

/** Duration of some work in seconds. */
export async function time(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1000;
}
