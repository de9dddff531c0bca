import type { CopyProgress } from '../../lib/index.ts';
import { monotonicClock } from '../../lib/util/clock.ts';
import { toPrintable } from '../../lib/util/printable.ts';
import { formatBytesOf } from '../../lib/util/quantity.ts';

/** Progress bars on a terminal, a line now and then in a pipe. */
export interface ProgressDisplay {
  /** Prints a line that stays on the screen, above the bars. */
  print(text: string): void;
  progress(name: string, progress: CopyProgress): void;
  /** Ends the progress of a copy. */
  remove(name: string): void;
}

export interface ProgressDisplayOptions {
  readonly write: (text: string) => void;
  /** Columns of the terminal; `undefined` in a pipe. */
  readonly columns: number | undefined;
  /** Milliseconds, for durations only. */
  readonly now: () => number;
}

const barWidth = 24;
const lineIntervalMs = 5_000;
const drawIntervalMs = 100;

const verbs = { pull: ' pulled', push: ' pushed', copy: '' } as const;

export function createProgressDisplay(options: ProgressDisplayOptions): ProgressDisplay {
  return options.columns === undefined
    ? createLines(options)
    : createBars(options, options.columns);
}

export function createStdoutDisplay(): ProgressDisplay {
  const { stdout } = process;
  return createProgressDisplay({
    write: (text) => stdout.write(text),
    columns: stdout.isTTY ? stdout.columns : undefined,
    now: monotonicClock.now,
  });
}

function createLines({ write, now }: ProgressDisplayOptions): ProgressDisplay {
  const nextAt = new Map<string, number>();
  return {
    print: (text) => write(`${toPrintable(text)}\n`),
    progress(name, progress) {
      const due = nextAt.get(name);
      if (due !== undefined && now() < due) return;
      nextAt.set(name, now() + lineIntervalMs);
      // The first line waits for an interval, so that a short copy prints none.
      if (due !== undefined) write(`${toPrintable(name)}: ${describe(progress)}\n`);
    },
    remove: (name) => nextAt.delete(name),
  };
}

function createBars({ write, now }: ProgressDisplayOptions, columns: number): ProgressDisplay {
  const running = new Map<string, CopyProgress>();
  let drawn = 0;
  let nextAt = 0;

  /** Moves the cursor to the first bar and clears everything below. */
  const erase = (): string => {
    const up = drawn === 0 ? '' : `\u001b[${drawn}A`;
    return `${up}\r\u001b[J`;
  };
  const draw = (above: string): void => {
    const bars = [...running].map(([name, progress]) =>
      `${toBar(progress)} ${toPrintable(name)}: ${describe(progress)}`.slice(0, columns - 1),
    );
    write(`${erase()}${above}${bars.map((bar) => `${bar}\n`).join('')}`);
    drawn = bars.length;
    nextAt = now() + drawIntervalMs;
  };
  return {
    print: (text) => draw(`${toPrintable(text)}\n`),
    progress(name, progress) {
      running.set(name, progress);
      if (now() >= nextAt) draw('');
    },
    remove(name) {
      if (running.delete(name)) draw('');
    },
  };
}

function toBar({ doneBytes, totalBytes }: CopyProgress): string {
  const full = Math.floor(toFraction(doneBytes, totalBytes) * barWidth);
  return `[${'#'.repeat(full)}${'.'.repeat(barWidth - full)}]`;
}

function describe({ phase, doneBytes, totalBytes }: CopyProgress): string {
  if (totalBytes === 0) return 'started';
  const percent = Math.floor(toFraction(doneBytes, totalBytes) * 100);
  return `${percent} %, ${formatBytesOf(doneBytes, totalBytes)}${verbs[phase]}`;
}

function toFraction(done: number, total: number): number {
  return total === 0 ? 0 : Math.min(1, done / total);
}
