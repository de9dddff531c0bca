import type { CopyProgress } from '../../lib/index.ts';
import { toPrintable } from '../../lib/util/printable.ts';

/** What a person sees while copies run: bars on a terminal, lines in a pipe. */
export interface Display {
  /** Stays on the screen. */
  line(text: string): void;
  progress(name: string, progress: CopyProgress): void;
  /** The copy is no longer shown. */
  done(name: string): void;
}

export interface DisplayOptions {
  readonly write: (text: string) => void;
  /** Columns of the terminal; `undefined` in a pipe. */
  readonly columns: number | undefined;
  /** Milliseconds, for durations only. */
  readonly now: () => number;
}

const barWidth = 24;
const mebibyte = 1024 * 1024;
/** In a pipe somebody reads it later, on a terminal now. */
const lineMs = 5_000;
const drawMs = 100;

const verbs = { pull: ' pulled', push: ' pushed', copy: '' } as const;

export function createDisplay({ write, columns, now }: DisplayOptions): Display {
  return columns === undefined ? createLines(write, now) : createBars(write, columns, now);
}

function createLines(write: DisplayOptions['write'], now: DisplayOptions['now']): Display {
  const nextAt = new Map<string, number>();
  return {
    line: (text) => write(`${toPrintable(text)}\n`),
    progress(name, progress) {
      const due = nextAt.get(name);
      if (due !== undefined && now() < due) return;
      nextAt.set(name, now() + lineMs);
      // A copy that has only begun is told of when there is something to tell.
      if (due !== undefined) write(`${toPrintable(name)}: ${describe(progress)}\n`);
    },
    done: (name) => nextAt.delete(name),
  };
}

function createBars(
  write: DisplayOptions['write'],
  columns: number,
  now: DisplayOptions['now'],
): Display {
  const running = new Map<string, CopyProgress>();
  let drawn = 0;
  let nextAt = 0;

  /** Back to where the first bar began; all below is cleared. */
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
    nextAt = now() + drawMs;
  };
  return {
    line: (text) => draw(`${toPrintable(text)}\n`),
    progress(name, progress) {
      running.set(name, progress);
      if (now() >= nextAt) draw('');
    },
    done(name) {
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
  return `${percent} %, ${formatMebibytes(doneBytes)} of ${formatMebibytes(totalBytes)} MiB${verbs[phase]}`;
}

function toFraction(done: number, total: number): number {
  return total === 0 ? 0 : Math.min(1, done / total);
}

/** `0.4`, `12.0`, `260` */
export function formatMebibytes(bytes: number): string {
  const value = bytes / mebibyte;
  return value.toFixed(value < 100 ? 1 : 0);
}
