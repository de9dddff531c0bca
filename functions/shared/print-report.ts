import type { ReportRow } from '../../lib/fleet/report.ts';
import type { StoredWorkload } from '../../lib/ports/index.ts';
import { mapConcurrently } from '../../lib/util/semaphore.ts';
import { formatTable } from './format-table.ts';

export interface PrintReportOptions {
  readonly storedWorkloads: readonly StoredWorkload[];
  readonly report: (stored: StoredWorkload, signal: AbortSignal) => Promise<readonly ReportRow[]>;
  /** Printed if the report has no row. */
  readonly empty: string;
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
}

const maxConcurrentReports = 8;

/** Prints a table with one row for each image of each object. */
export async function printReport({
  storedWorkloads,
  report,
  print,
  empty,
  signal,
}: PrintReportOptions): Promise<void> {
  const rows = await mapConcurrently(storedWorkloads, maxConcurrentReports, async (stored) => {
    signal.throwIfAborted();
    return await report(stored, signal);
  });
  const head = ['NAMESPACE', 'OBJECT', 'CONTAINER', 'IMAGE', 'STATUS'];
  const body = rows
    .flat()
    .map((row) => [row.namespace, row.object, row.container, row.image, row.what]);
  if (body.length === 0) {
    print(empty);
    return;
  }
  for (const line of formatTable([head, ...body])) print(line);
}
