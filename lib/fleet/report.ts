import type { CloneOutcomes } from '../admission/answer/index.ts';
import type { ImagePlace } from '../admission/workload.ts';
import { CloneError } from '../errors.ts';
import type { CloneOutcome, StoredWorkload } from '../ports/index.ts';
import type { Assessment, PlaceAssessment } from './assess.ts';
import { formatWorkload } from './stored-workload.ts';

/**
 * What a run would do at a place. `change`: what it is for; `none`: nothing, all is well; `skipped`: nothing, on purpose; `problem`: it
 * would fail; `unknown`: no registry was asked.
 */
export type Effect = 'change' | 'none' | 'skipped' | 'problem' | 'unknown';

/** One image at one place of one object, and what would happen to it. */
export interface ReportRow {
  readonly namespace: string;
  readonly object: string;
  /** `web` for a container, `init container "setup"` for every other place; empty for the object as a whole. */
  readonly container: string;
  /** Empty for the object as a whole. */
  readonly image: string;
  readonly effect: Effect;
  /** The effect in words. */
  readonly what: string;
}

/** What a run would do. */
export interface Report {
  readonly rows: readonly ReportRow[];
  /** Why the report is incomplete, one sentence each. */
  readonly problems: readonly string[];
}

type Description = Pick<ReportRow, 'effect' | 'what'>;

export function toReportRow(
  stored: StoredWorkload,
  place: ImagePlace,
  { effect, what }: Description,
): ReportRow {
  return {
    namespace: stored.namespace,
    object: formatWorkload(stored),
    container: place.label.replace(/^container "(.*)"$/, '$1'),
    image: place.image,
    effect,
    what,
  };
}

/** Returns the rows of all objects. An object that cannot be parsed gets one row, which says why. */
export function reportEach(
  storedWorkloads: readonly StoredWorkload[],
  toRows: (stored: StoredWorkload) => readonly ReportRow[],
): readonly ReportRow[] {
  return storedWorkloads.flatMap((stored) => {
    try {
      return toRows(stored);
    } catch (error) {
      if (!(error instanceof CloneError)) throw error;
      return [
        {
          namespace: stored.namespace,
          object: formatWorkload(stored),
          container: '',
          image: '',
          effect: 'problem',
          what: `refused: ${error.message}`,
        },
      ];
    }
  });
}

/**
 * Returns one row for each place of an object, with what a backfill would do there. `original` assesses the object with its
 * original images if moved tags are refreshed; `outcomes` are those of a dry run, without the images that were not asked for.
 */
export function toReportRows(
  { stored, places, skipped }: Assessment,
  original: Assessment | undefined,
  outcomes: CloneOutcomes,
): readonly ReportRow[] {
  return places.map((assessed, index) => {
    const copied = assessed.state === 'rewritten' ? original?.places[index] : assessed;
    const key = copied?.state === 'rewritable' ? copied.image.key : undefined;
    const outcome = key === undefined ? 'none' : (outcomes.get(key) ?? 'unasked');
    return toReportRow(stored, assessed.place, describe(assessed, skipped, outcome));
  });
}

/** `none`: no registry is asked about the place. */
type PlaceOutcome = CloneOutcome | 'unasked' | 'none';

function describe(
  assessed: PlaceAssessment,
  skipped: string | undefined,
  outcome: PlaceOutcome,
): Description {
  switch (assessed.state) {
    case 'rewritten': {
      const planned = 'already rewritten; the tag has moved and would be copied';
      return describeOutcome(outcome, planned, 'already rewritten', 'none');
    }
    case 'ignored':
      return skipped === undefined
        ? { effect: 'none', what: `ignored: ${assessed.reason}` }
        : { effect: 'skipped', what: `skipped: ${skipped}` };
    case 'refused':
      return { effect: 'problem', what: `refused: ${assessed.reason}` };
    case 'rewritable':
      return skipped === undefined
        ? describeOutcome(outcome, 'would be copied', 'in the backup', 'change')
        : { effect: 'skipped', what: `skipped: ${skipped}` };
  }
}

function describeOutcome(
  outcome: PlaceOutcome,
  planned: string,
  ready: string,
  readyEffect: Effect,
): Description {
  if (outcome === 'none') return { effect: readyEffect, what: ready };
  if (outcome === 'unasked') return { effect: 'unknown', what: 'not checked' };
  switch (outcome.status) {
    case 'failed':
      return { effect: 'problem', what: `refused: ${outcome.error.message}` };
    case 'pending':
      return { effect: 'unknown', what: outcome.detail };
    case 'ready':
      return outcome.result === 'planned'
        ? { effect: 'change', what: planned }
        : { effect: readyEffect, what: [ready, ...outcome.warnings].join('; ') };
  }
}
