import type { StoredWorkload } from '../../ports/index.ts';
import { formatWorkload } from '../stored-workload.ts';

/**
 * What a node would find. `outside`: the object names no copy; `absent`, `incomplete`, `denied`: the backup has no tag, has lost parts,
 * or refuses the pull secrets; `unchecked`: no clear answer; `left`: the image needs no copy, or the object is skipped.
 */
export type BackupState =
  | 'whole'
  | 'incomplete'
  | 'absent'
  | 'outside'
  | 'denied'
  | 'unchecked'
  | 'left';

/** What the source has now under the original name. */
export type SourceState = 'same' | 'moved' | 'gone' | 'unclear';

export interface BackupFinding {
  readonly state: BackupState;
  /** The state in words. */
  readonly what: string;
}

/** One image of one workload. */
export interface VerifiedImage extends BackupFinding {
  readonly stored: StoredWorkload;
  /** `container "web"`; empty for the object as a whole. */
  readonly label: string;
  readonly image: string;
  /** Absent if no original is recorded. */
  readonly source?: SourceState;
}

/** Whether a workload would start. */
type Verdict = 'starts' | 'fails' | 'unknown' | 'skipped';

export interface Verification {
  /** The worst first. */
  readonly images: readonly VerifiedImage[];
  /** Number of workloads. */
  readonly workloads: Readonly<Record<Verdict, number>>;
  /** Why something was not checked, one sentence each. */
  readonly problems: readonly string[];
}

/** The worst first. */
const verdictOf = {
  outside: 'fails',
  absent: 'fails',
  incomplete: 'fails',
  denied: 'fails',
  unchecked: 'unknown',
  whole: 'starts',
  left: 'skipped',
} as const satisfies Readonly<Record<BackupState, Verdict>>;

const verdicts: readonly Verdict[] = ['fails', 'unknown', 'starts', 'skipped'];
const states = Object.keys(verdictOf);

export function toVerification(
  images: readonly VerifiedImage[],
  problems: readonly string[],
): Verification {
  const count = { starts: 0, fails: 0, unknown: 0, skipped: 0 };
  for (const [, of] of Map.groupBy(images, ({ stored }) => stored)) {
    const found = of.map(({ state }): Verdict => verdictOf[state]);
    count[verdicts.find((verdict) => found.includes(verdict)) ?? 'skipped'] += 1;
  }
  return {
    images: images.toSorted((a, b) => states.indexOf(a.state) - states.indexOf(b.state)),
    workloads: count,
    problems,
  };
}

/** The document of `--json`. */
export function toDocument({ images, workloads, problems }: Verification): object {
  return {
    workloads,
    images: images.map(({ stored, label, image, state, what, source }) => ({
      namespace: stored.namespace,
      object: formatWorkload(stored),
      container: label,
      image,
      verdict: verdictOf[state],
      state,
      what,
      ...(source !== undefined && { source }),
    })),
    problems,
  };
}
