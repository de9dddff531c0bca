import type { CopyProgress } from '../../../lib/index.ts';
import { monotonicClock } from '../../../lib/util/clock.ts';
import { toPrintable } from '../../../lib/util/printable.ts';
import { formatBytesOf } from '../../../lib/util/quantity.ts';

/** Progress bars on a terminal, a line now and then in a pipe. */
export interface ProgressDisplay {
  /** Prints a line that stays on the screen, above the bars. */
  print(text: string): void;
  progress(name: string, progress: CopyProgress): void;
  /** The progress of a command that works through `total` things: `images`. */
  step(things: string, progress: { readonly done: number; readonly total: number }): void;
  /** Ends the progress of a copy, or of things. */
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
  return createStreamDisplay(process.stdout);
}

/** For a command whose standard output is its result. */
export function createStderrDisplay(): ProgressDisplay {
  return createStreamDisplay(process.stderr);
}

function createStreamDisplay(stream: NodeJS.WriteStream): ProgressDisplay {
  return createProgressDisplay({
    write: (text) => stream.write(text),
    columns: stream.isTTY ? stream.columns : undefined,
    now: monotonicClock.now,
  });
}

/** What a bar and a line of progress show. */
interface Shown {
  readonly done: number;
  readonly total: number;
  readonly text: string;
}

function createLines({ write, now }: ProgressDisplayOptions): ProgressDisplay {
  const nextAt = new Map<string, number>();
  const show = (name: string, toText: () => string): void => {
    const due = nextAt.get(name);
    if (due !== undefined && now() < due) return;
    nextAt.set(name, now() + lineIntervalMs);
    // The first line waits for an interval, so that a short copy prints none.
    if (due !== undefined) write(`${toPrintable(toText())}\n`);
  };
  return {
    print: (text) => write(`${toPrintable(text)}\n`),
    progress: (name, progress) => show(name, () => toShown(name, progress).text),
    step: (things, progress) => show(things, () => toSteps(things, progress).text),
    remove: (name) => nextAt.delete(name),
  };
}

function createBars({ write, now }: ProgressDisplayOptions, columns: number): ProgressDisplay {
  const running = new Map<string, Shown>();
  let drawn = 0;
  let nextAt = 0;

  /** Moves the cursor to the first bar and clears everything below. */
  const erase = (): string => {
    const up = drawn === 0 ? '' : `\u001b[${drawn}A`;
    return `${up}\r\u001b[J`;
  };
  const draw = (above: string): void => {
    const bars = [...running.values()].map((shown) =>
      `${toBar(shown)} ${toPrintable(shown.text)}`.slice(0, columns - 1),
    );
    write(`${erase()}${above}${bars.map((bar) => `${bar}\n`).join('')}`);
    drawn = bars.length;
    nextAt = now() + drawIntervalMs;
  };
  const show = (name: string, shown: Shown): void => {
    running.set(name, shown);
    if (now() >= nextAt) draw('');
  };
  return {
    print: (text) => draw(`${toPrintable(text)}\n`),
    progress: (name, progress) => show(name, toShown(name, progress)),
    step: (things, progress) => show(things, toSteps(things, progress)),
    remove(name) {
      if (running.delete(name)) draw('');
    },
  };
}

function toShown(name: string, progress: CopyProgress): Shown {
  const { doneBytes: done, totalBytes: total } = progress;
  return { done, total, text: `${name}: ${describe(progress)}` };
}

function toSteps(things: string, { done, total }: Omit<Shown, 'text'>): Shown {
  return { done, total, text: `${done} of ${total} ${things}` };
}

function toBar({ done, total }: Shown): string {
  const full = Math.floor(toFraction(done, total) * barWidth);
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
