import type { CloneError, CloneErrorCode } from '../../errors.ts';
import { dockerHub, type Reference } from '../../image/reference.ts';
import type { CloneOutcome } from '../../ports/index.ts';
import { toPrintable } from '../../util/printable.ts';
import type { Refusal } from '../decide-image.ts';
import type { PlannedImage } from '../plan.ts';
import type { AdmissionStatus } from '../review.ts';
import type { ImagePlace } from '../workload.ts';
import { namesImage } from './warning.ts';

/** Why an image has no backup yet. All places name it in the same spelling, so that one line describes them. */
export interface ImageProblem {
  /** Empty if the whole object is at fault. */
  readonly places: readonly ImagePlace[];
  /** As it is written in the object. */
  readonly image: string;
  /** The copy, which the reason may name. */
  readonly backup?: Reference;
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

const maxListed = 20;
/** A longer text is no image name; its error quotes the beginning. */
const maxImageLength = 1_024;

/** The problem of a place, or of the whole object, that was refused without a registry call. */
export function toRefusal({ place, error }: Refusal): ImageProblem {
  const places = error.code === 'TOO_MANY_IMAGES' ? [] : [place];
  return { places, image: place.image, reason: error.message, error };
}

/** The problems of an image that has no backup, or not yet. */
export function toProblems(
  planned: Pick<PlannedImage, 'places' | 'source' | 'backup'>,
  outcome: CloneOutcome | undefined,
): readonly ImageProblem[] {
  const { places, backup } = planned;
  if (outcome?.status === 'ready') return [];
  const groups = [...Map.groupBy(places, ({ image }) => image)];
  const problems = groups.map(([image, places]) => ({ places, image, backup }));
  if (outcome?.status === 'failed') {
    const { error } = outcome;
    const reason = `${error.message}${adviceFor(error, planned)}`;
    return problems.map((problem) => ({ ...problem, reason, error }));
  }
  // Without an outcome, the copy has not reported its progress yet.
  const progress = outcome === undefined ? '' : `: ${outcome.detail}`;
  return problems.map((problem) => ({
    ...problem,
    reason: `${formatStage(problem.image, outcome?.stage)}${progress}`,
    retryAfterSeconds: outcome?.retryAfterSeconds ?? 1,
  }));
}

function formatStage(
  image: string,
  stage: Extract<CloneOutcome, { readonly status: 'pending' }>['stage'] = 'copying',
): string {
  switch (stage) {
    case 'copying':
      return `still copying ${image}`;
    case 'waiting':
      return `${image} waits to be copied`;
    case 'postponed':
      return `${image} is not copied yet`;
  }
}

/** The backup's own credentials open no source, because they may read more than the author of the workload. */
function adviceFor(
  { code }: CloneError,
  { source: { domain, path }, backup }: Pick<PlannedImage, 'source' | 'backup'>,
): string {
  // Docker Hub denies access to official images that do not exist, and all others are public.
  const isOfficial = domain === dockerHub && path.startsWith('library/');
  if (code !== 'SOURCE_DENIED' || domain !== backup.domain || isOfficial) return '';
  const folder = path.includes('/') ? `${path.slice(0, path.lastIndexOf('/'))}/**` : path;
  return `; the backup's credentials are not used for other images: SOURCE_AUTH_FILE opens them, and IGNORE_IMAGES=${domain}/${folder} leaves them unchanged`;
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
  if (places.length === 0) return reason;
  const isNamed = image.length > maxImageLength || namesImage(reason, image);
  return `${formatPlaces(places)}: ${isNamed ? reason : `${image}: ${reason}`}`;
}

/** One line that lists the problems, up to a limit. */
export function formatProblems(problems: readonly ImageProblem[]): string {
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
