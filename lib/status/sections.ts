import { type CopyStatus, describeProgress } from '../cloner/queue/index.ts';
import { toPrintable } from '../util/printable.ts';
import { formatDuration } from '../util/quantity.ts';
import type { JournalEntry } from './journal.ts';

/** The state of one replica when the page is read. */
export interface Replica {
  readonly version: string;
  /** The name of the pod. */
  readonly name: string;
  readonly upMs: number;
  /** Names and values of settings that explain what is seen; no secret. */
  readonly settings: Readonly<Record<string, string>>;
  readonly copies: readonly CopyStatus[];
  /** One sentence for each registry or daemon that is down or limits requests. */
  readonly outages: readonly string[];
  readonly refusals: readonly JournalEntry[];
  readonly fallbacks: readonly JournalEntry[];
  /** Absent if the pod does not see the certificate. */
  readonly certificateEnds?: Date;
  /** Of the clock of the entries. */
  readonly now: number;
}

/** A part of the page, in lines of plain text. */
export interface Section {
  readonly title: string;
  readonly lines: readonly string[];
}

/** Long queues must not make a long page. */
const maxLines = 20;
/** The reason of a refusal can name twenty images. */
const maxLineLength = 500;

/** The page as text, without markup. Every character is printable. */
export function toSections(replica: Replica): readonly Section[] {
  const { version, name, upMs, settings, copies, outages, certificateEnds } = replica;
  const [running, waiting] = [
    copies.filter(({ copy }) => copy.place() === undefined),
    copies.filter(({ copy }) => copy.place() !== undefined),
  ];
  const certificate =
    certificateEnds === undefined ? [] : [`certificate: until ${certificateEnds.toISOString()}`];
  const sections = [
    {
      title: `image-cloner ${version}`,
      lines: [
        `replica ${name}, up ${formatDuration(upMs)}: this is the view of one replica`,
        ...Object.entries(settings).map(([key, value]) => `${key}: ${value}`),
        ...certificate,
      ],
    },
    {
      title: 'Registries',
      lines: outages.length === 0 ? ['no registry is known to be down or to limit'] : outages,
    },
    { title: `Copies that run: ${running.length}`, lines: running.map(describeCopy) },
    { title: `Copies that wait: ${waiting.length}`, lines: waiting.map(describeCopy) },
    toEntries('Last refusals', replica.refusals, replica.now),
    toEntries('Last uses of a backup whose source failed', replica.fallbacks, replica.now),
  ];
  return sections.map(({ title, lines }) => ({ title: toPrintable(title), lines: shorten(lines) }));
}

function describeCopy({ target, namespace, copy }: CopyStatus): string {
  const whose = namespace === '' ? '' : ` for ${namespace}`;
  return `${target}${whose}: ${describeProgress(copy).detail}`;
}

function toEntries(title: string, entries: readonly JournalEntry[], now: number): Section {
  const lines = entries.map(({ at, text }) => `${formatDuration(now - at)} ago: ${text}`);
  return { title, lines: lines.length === 0 ? ['none since the start'] : lines };
}

function shorten(lines: readonly string[]): readonly string[] {
  const shown = lines.slice(0, maxLines).map((line) => toPrintable(line).slice(0, maxLineLength));
  const rest = lines.length - shown.length;
  return rest > 0 ? [...shown, `and ${rest} more`] : shown;
}
