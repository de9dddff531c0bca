/** What one contender took, one value a round. */
export interface Series {
  readonly name: string;
  readonly values: readonly number[];
}

/** The median; of an even count the upper one. */
function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The smallest value that is not below the given share of all values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN;
}

/** One row of the report: all medians, and the ratio to the lowest other one, of pairs measured alternately. */
export function compare(
  what: string,
  ours: readonly number[],
  others: readonly Series[],
  unit: string,
): string {
  const medians = [{ name: 'ours', values: ours }, ...others].map(({ name, values }) =>
    `${name} ${formatNumber(median(values))} ${unit}`.padEnd(23),
  );
  const [best] = others.toSorted((a, b) => median(a.values) - median(b.values));
  return row(what, ...medians, ...(best === undefined ? [] : [formatRatio(ours, best)]));
}

/** One row of the report. */
export function row(what: string, ...columns: readonly string[]): string {
  return [what.padEnd(34), ...columns].join(' ').trimEnd();
}

/** Two digits at least, three at most. */
export function formatNumber(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** Prints one row of the report. */
export function report(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Duration of some work in seconds. */
export async function time(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1000;
}

function formatRatio(ours: readonly number[], { name, values }: Series): string {
  const ratios = ours.map((value, index) => value / (values[index] ?? Number.NaN));
  const [least, most] = [Math.min(...ratios), Math.max(...ratios)].map(formatNumber);
  return `ratio to ${name} ${formatNumber(median(ratios))} (${least}–${most}, ${ratios.length} pairs)`;
}
