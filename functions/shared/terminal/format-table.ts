import { toPrintable } from '../../../lib/util/printable.ts';

/** Lines of a table with aligned columns. Cells may hold names from a registry, so control characters are removed. */
export function formatTable(rows: readonly (readonly string[])[]): readonly string[] {
  const printable = rows.map((row) => row.map(toPrintable));
  const widths = printable.reduce<readonly number[]>(
    (all, row) => row.map((cell, column) => Math.max(all[column] ?? 0, cell.length)),
    [],
  );
  return printable.map((row) =>
    row
      .map((cell, column) => cell.padEnd(column === row.length - 1 ? 0 : (widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
