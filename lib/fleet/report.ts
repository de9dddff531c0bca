import type { CloneOutcomes } from '../admission/answer/index.ts';
import type { ImagePlace } from '../admission/workload.ts';
import type { CloneOutcome, StoredWorkload } from '../ports/index.ts';
import type { Assessment, PlaceAssessment } from './assess.ts';
import { formatWorkload } from './stored-workload.ts';

/** One image at one place of one object, and what would happen to it. */
export interface ReportRow {
  readonly namespace: string;
  readonly object: string;
  /** `web` for a container, `init container "setup"` for every other place. */
  readonly container: string;
  readonly image: string;
  readonly what: string;
}

export function toReportRow(stored: StoredWorkload, place: ImagePlace, what: string): ReportRow {
  return {
    namespace: stored.namespace,
    object: formatWorkload(stored),
    container: place.label.replace(/^container "(.*)"$/, '$1'),
    image: place.image,
    what,
  };
}

/**
 * Returns one row for each place of an object, with what a backfill would do there. `original` assesses the object with its
 * original images if moved tags are refreshed; `outcomes` are those of a dry run.
 */
export function toReportRows(
  { stored, places, skipped }: Assessment,
  original: Assessment | undefined,
  outcomes: CloneOutcomes,
): readonly ReportRow[] {
  return places.map((assessed, index) => {
    const copied = assessed.state === 'rewritten' ? original?.places[index] : assessed;
    const outcome = copied?.state === 'rewritable' ? outcomes.get(copied.image.key) : undefined;
    return toReportRow(stored, assessed.place, describe(assessed, skipped, outcome));
  });
}

function describe(
  assessed: PlaceAssessment,
  skipped: string | undefined,
  outcome: CloneOutcome | undefined,
): string {
  switch (assessed.state) {
    case 'rewritten': {
      const planned = 'already rewritten; the tag has moved and would be copied';
      const ready = 'already rewritten';
      return outcome === undefined ? ready : describeOutcome(outcome, planned, ready);
    }
    case 'ignored':
      return skipped === undefined ? `ignored: ${assessed.reason}` : `skipped: ${skipped}`;
    case 'refused':
      return `refused: ${assessed.reason}`;
    case 'rewritable': {
      if (skipped !== undefined) return `skipped: ${skipped}`;
      const planned = 'would be copied';
      return outcome === undefined ? planned : describeOutcome(outcome, planned, 'in the backup');
    }
  }
}

function describeOutcome(outcome: CloneOutcome, planned: string, ready: string): string {
  switch (outcome.status) {
    case 'failed':
      return `refused: ${outcome.error.message}`;
    case 'pending':
      return outcome.detail;
    case 'ready':
      return outcome.result === 'planned' ? planned : [ready, ...outcome.warnings].join('; ');
  }
}
