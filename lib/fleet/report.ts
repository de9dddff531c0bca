import type { CloneOutcomes } from '../admission/complete.ts';
import type { CloneOutcome } from '../ports/index.ts';
import type { Assessment, Finding } from './assess.ts';
import { formatWorkload } from './stored-workload.ts';

/** One image at one place of one object, and what would become of it. */
export interface ReportRow {
  readonly namespace: string;
  readonly object: string;
  /** `web`, `init container "setup"`: containers by their names, as everybody calls them. */
  readonly container: string;
  readonly image: string;
  readonly what: string;
}

/**
 * What a backfill would do to an object, one row for each image. `fresh` is the same object with its originals put back, where moved tags
 * are asked for; `outcomes` are of a dry run.
 */
export function toReportRows(
  { stored, findings, left }: Assessment,
  fresh: Assessment | undefined,
  outcomes: CloneOutcomes,
): readonly ReportRow[] {
  return findings.map((finding, index) => ({
    namespace: stored.namespace,
    object: formatWorkload(stored),
    container: finding.place.label.replace(/^container "(.*)"$/, '$1'),
    image: finding.place.image,
    what: describe(finding, left, fresh?.findings[index], outcomes),
  }));
}

function describe(
  finding: Finding,
  left: string | undefined,
  fresh: Finding | undefined,
  outcomes: CloneOutcomes,
): string {
  switch (finding.state) {
    case 'rewritten': {
      const outcome = fresh?.state === 'wanted' ? outcomes.get(fresh.image.key) : undefined;
      return outcome === undefined ? 'rewritten already' : describeRefresh(outcome);
    }
    case 'ignored':
      return left === undefined ? `ignored: ${finding.reason}` : `left: ${left}`;
    case 'refused':
      return `refused: ${finding.reason}`;
    case 'wanted': {
      if (left !== undefined) return `left: ${left}`;
      const outcome = outcomes.get(finding.image.key);
      return outcome === undefined ? 'would be copied' : describeOutcome(outcome);
    }
  }
}

function describeOutcome(outcome: CloneOutcome): string {
  switch (outcome.status) {
    case 'failed':
      return `refused: ${outcome.error.message}`;
    case 'pending':
      return outcome.detail;
    case 'ready':
      return outcome.result === 'planned'
        ? 'would be copied'
        : withWarnings('in the backup', outcome);
  }
}

function describeRefresh(outcome: CloneOutcome): string {
  if (outcome.status !== 'ready') return describeOutcome(outcome);
  return outcome.result === 'planned'
    ? 'rewritten already, its tag has moved: would be copied'
    : withWarnings('rewritten already', outcome);
}

function withWarnings(
  text: string,
  { warnings }: Extract<CloneOutcome, { status: 'ready' }>,
): string {
  return [text, ...warnings].join('; ');
}
