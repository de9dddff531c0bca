import type { CloneError, CloneErrorCode } from '../errors.ts';
import type { CloneOutcome } from '../ports/index.ts';
import { toPrintable } from '../util/printable.ts';
import type { AdmissionStatus } from './review.ts';
import type { ImagePlace } from './workload.ts';

/** Why an image has no backup yet. All places name it in the same spelling, so that one line describes them. */
export interface ImageProblem {
  readonly places: readonly ImagePlace[];
  /** As it is written in the object. */
  readonly image: string;
  readonly reason: string;
  /** Absent while the copy is in progress. */
  readonly error?: CloneError;
  readonly retryAfterSeconds?: number;
}

/** Answered with 422, because the object cannot become valid; every other code with 403. */
const invalidCodes: ReadonlySet<CloneErrorCode> = new Set([
  'INVALID_REVIEW',
  'INVALID_REFERENCE',
  'TOO_MANY_IMAGES',
]);

/** The limit that Kubernetes recommends for one warning. */
const maxWarningLength = 120;
/** Of the reason in such a warning; the image and the place follow it. */
const minReasonLength = 40;
const maxWarningImageLength = 36;
const maxListed = 20;
/** A longer text is no image name; its error quotes the beginning. */
const maxImageLength = 1_024;

/** The problems of an image that was refused, or whose copy failed. */
export function toFailure(
  places: readonly ImagePlace[],
  error: CloneError,
): readonly ImageProblem[] {
  return bySpelling(places).map((spelled) => ({ ...spelled, reason: error.message, error }));
}

/** The problems of an image that has no backup, or not yet. */
export function toProblems(
  places: readonly ImagePlace[],
  outcome: CloneOutcome | undefined,
): readonly ImageProblem[] {
  if (outcome?.status === 'ready') return [];
  if (outcome?.status === 'failed') return toFailure(places, outcome.error);
  // Without an outcome, the copy has not reported its progress yet.
  const progress = outcome === undefined ? '' : `: ${outcome.detail}`;
  return bySpelling(places).map(({ places, image }) => ({
    places,
    image,
    reason:
      outcome?.stage === 'waiting'
        ? `${image} waits to be copied${progress}`
        : `still copying ${image}${progress}`,
    retryAfterSeconds: outcome?.retryAfterSeconds ?? 1,
  }));
}

/** A final denial that lists every problem. */
export function toDenial(problems: readonly ImageProblem[]): AdmissionStatus {
  const isInvalid = problems.every(
    ({ error }) => error !== undefined && invalidCodes.has(error.code),
  );
  const message = formatProblems(problems);
  return isInvalid ? { code: 422, message } : { code: 403, reason: 'Forbidden', message };
}

/**
 * A denial with the code, reason and field that make every client-go client repeat the write, up to ten times
 * (kubernetes/apiserver `responsewriters`, client-go `rest/with_retry.go`).
 */
export function toRetry(problems: readonly ImageProblem[]): AdmissionStatus {
  const delays = problems.map(({ retryAfterSeconds = 1 }) => retryAfterSeconds);
  return {
    code: 504,
    reason: 'Timeout',
    message: formatProblems(problems),
    details: { retryAfterSeconds: Math.max(1, ...delays) },
  };
}

/** `container "web": nginx:9.99 does not exist on docker.io` */
export function formatProblem({ places, image, reason }: ImageProblem): string {
  const isNamed = image.length > maxImageLength || namesImage(reason, image);
  return `${formatPlaces(places)}: ${isNamed ? reason : `${image}: ${reason}`}`;
}

/**
 * The warning of an object that is admitted despite a problem: `not backed up: nginx:9.99 does not exist on
 * docker.io (container "web")`. If it is too long, the end of the reason is cut, and the image stays.
 */
export function formatAdmitted(consequence: string, problem: ImageProblem): string {
  const image = shortenDigests(problem.image);
  const reason = toPrintable(shortenDigests(problem.reason));
  const [{ label } = { label: 'the object' }, ...others] = problem.places;
  const place = others.length === 0 ? label : `${label} and ${others.length} more`;
  const fit = (tail: string): string => {
    const room = maxWarningLength - consequence.length - 2 - tail.length;
    return cut(reason, Math.max(room, minReasonLength));
  };
  const named = fit(` (${place})`);
  if (namesImage(named, image)) return toWarning(`${consequence}: ${named} (${place})`);
  const isLong = image.length > maxWarningImageLength;
  const tail = ` (${isLong ? `…${image.slice(1 - maxWarningImageLength)}` : image}, ${place})`;
  return toWarning(`${consequence}: ${fit(tail)}${tail}`);
}

/** One line of at most 120 printable characters. */
export function toWarning(text: string): string {
  return cut(toPrintable(text), maxWarningLength);
}

function formatProblems(problems: readonly ImageProblem[]): string {
  const shown = problems.slice(0, maxListed).map(formatProblem);
  const rest = problems.length - shown.length;
  return toPrintable([...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].join('; '));
}

/** Each label says its kind, because they differ: `container "a", init container "b"`. */
function formatPlaces(places: readonly ImagePlace[]): string {
  const shown = places.slice(0, maxListed).map(({ label }) => label);
  const rest = places.length - shown.length;
  return [...shown, ...(rest > 0 ? [`${rest} more`] : [])].join(', ');
}

function bySpelling(
  places: readonly ImagePlace[],
): readonly Pick<ImageProblem, 'places' | 'image'>[] {
  const groups = Map.groupBy(places, ({ image }) => image);
  return [...groups].map(([image, places]) => ({ image, places }));
}

/** Whether `text` contains the image as a whole word, with or without a digest: `acme/nginx:1` does not name `nginx:1`. */
function namesImage(text: string, image: string): boolean {
  for (let at = text.indexOf(image); at >= 0; at = text.indexOf(image, at + 1)) {
    const before = text.slice(Math.max(0, at - 1), at);
    const after = text.slice(at + image.length, at + image.length + '@sha256:'.length);
    // A colon or a full stop also ends a clause.
    if (!/[\w./:@-]/.test(before) && /^([:.]?$|[:.]\s|@sha256:|[^\w./:@-])/.test(after))
      return true;
  }
  return false;
}

function shortenDigests(text: string): string {
  return text.replaceAll(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, '$1…');
}

function cut(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  // The last character may be the first half of a surrogate pair.
  return `${text.slice(0, maxLength - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}
