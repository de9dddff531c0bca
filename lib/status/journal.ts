import type { Observer } from '../ports/index.ts';

/** Something that happened to one image or object. */
export interface JournalEntry {
  /** Milliseconds of a monotonic clock. */
  readonly at: number;
  readonly text: string;
}

/** The last refusals and fallbacks, the newest first. */
export interface Journal extends Required<Pick<Observer, 'reviewEnded'>> {
  readonly refusals: () => readonly JournalEntry[];
  readonly fallbacks: () => readonly JournalEntry[];
}

const maxEntries = 50;

export function createJournal({ now }: { readonly now: () => number }): Journal {
  const refusals: JournalEntry[] = [];
  const fallbacks: JournalEntry[] = [];
  const note = (entries: JournalEntry[], text: string): void => {
    entries.unshift({ at: now(), text });
    entries.length = Math.min(entries.length, maxEntries);
  };
  return {
    reviewEnded({ object: { kind, namespace, name }, refusal, images }) {
      const object = `${kind} ${namespace}/${name}`;
      if (refusal !== undefined) note(refusals, `${object}: ${refusal}`);
      for (const { outcome } of images) {
        if (outcome.status !== 'ready' || outcome.result !== 'fallback') continue;
        note(fallbacks, `${object}: ${outcome.warnings.join('; ')}`);
      }
    },
    refusals: () => refusals,
    fallbacks: () => fallbacks,
  };
}
