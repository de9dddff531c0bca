import type { ReportRow } from '../../lib/fleet/report.ts';
import type { StoredWorkload } from '../../lib/ports/index.ts';
import { createSemaphore } from '../../lib/util/semaphore.ts';
import { formatTable } from './format-table.ts';

export interface PrintReportOptions {
  readonly storedWorkloads: readonly StoredWorkload[];
  readonly report: (stored: StoredWorkload, signal: AbortSignal) => Promise<readonly ReportRow[]>;
  /** Said where there is no row. */
  readonly empty: string;
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Registries are asked about that many objects at once. */
const maxObjects = 8;

/** The table: one row for each image of each object. */
export async function printReport({
  storedWorkloads,
  report,
  print,
  empty,
  signal,
}: PrintReportOptions): Promise<void> {
  const limit = createSemaphore(maxObjects);
  const rows = await Promise.all(
    storedWorkloads.map((stored) =>
      limit.run(async () => {
        signal.throwIfAborted();
        return await report(stored, signal);
      }),
    ),
  );
  const head = ['NAMESPACE', 'OBJECT', 'CONTAINER', 'IMAGE', 'WHAT'];
  const body = rows
    .flat()
    .map(({ namespace, object, container, image, what }) => [
      namespace,
      object,
      container,
      image,
      what,
    ]);
  if (body.length === 0) {
    print(empty);
    return;
  }
  for (const line of formatTable([head, ...body])) print(line);
}
