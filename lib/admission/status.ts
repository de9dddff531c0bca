import type { CloneError, CloneErrorCode } from '../errors.ts';
import { toPrintable } from '../util/printable.ts';
import type { AdmissionStatus } from './review.ts';
import type { ImagePlace } from './workload.ts';

/** Why one image keeps the object from being admitted as it was meant. */
export interface Obstacle {
  readonly places: readonly ImagePlace[];
  readonly reason: string;
  readonly error?: CloneError;
  readonly retryAfterSeconds?: number;
}

/** 403: may not; 422: can never be right. INVALID_REVIEW never gets here: the body has no uid to answer to. */
const statusCodes = {
  INVALID_REVIEW: 422,
  INVALID_REFERENCE: 422,
  TOO_MANY_IMAGES: 422,
  REGISTRY_NOT_ALLOWED: 403,
  SOURCE_NOT_FOUND: 403,
  SOURCE_DENIED: 403,
  SOURCE_RATE_LIMITED: 403,
  SOURCE_UNAVAILABLE: 403,
  SOURCE_UNSUPPORTED: 403,
  SOURCE_REFUSED: 403,
  BACKUP_NOT_FOUND: 403,
  BACKUP_DENIED: 403,
  BACKUP_RATE_LIMITED: 403,
  BACKUP_UNAVAILABLE: 403,
  BACKUP_UNSUPPORTED: 403,
  BACKUP_REFUSED: 403,
  BACKUP_NOT_OURS: 403,
  BACKUP_PUBLIC: 403,
  BACKUP_GENERATION_LOST: 403,
  CLONER_UNAVAILABLE: 403,
  LINE_FULL: 403,
  INTERRUPTED: 403,
} as const satisfies Record<CloneErrorCode, number>;

/** The API server cuts warnings beyond this only when there are many, but a terminal line is a terminal line. */
const maxWarningLength = 120;
const maxListed = 20;

/** Denial for good: every obstacle is named. */
export function toDenial(obstacles: readonly Obstacle[]): AdmissionStatus {
  const codes = new Set(
    obstacles.map(({ error }) => (error === undefined ? 403 : statusCodes[error.code])),
  );
  const isInvalid = codes.size === 1 && codes.has(422);
  const message = listObstacles(obstacles);
  return isInvalid ? { code: 422, message } : { code: 403, reason: 'Forbidden', message };
}

/**
 * "Come back": with this code, reason and field every client-go client repeats the same write by itself,
 * up to ten times (kubernetes/apiserver `responsewriters`, client-go `rest/with_retry.go`).
 */
export function toRetry(obstacles: readonly Obstacle[]): AdmissionStatus {
  const seconds = obstacles.reduce(
    (most, { retryAfterSeconds = 1 }) => Math.max(most, retryAfterSeconds),
    1,
  );
  return {
    code: 504,
    reason: 'Timeout',
    message: listObstacles(obstacles),
    details: { retryAfterSeconds: seconds },
  };
}

/** `container "web": nginx:9.99 does not exist on docker.io` */
export function formatObstacle({ places, reason }: Obstacle): string {
  return `${formatPlaces(places)}: ${reason}`;
}

/** One line of at most 120 printable characters. */
export function toWarning(text: string): string {
  const line = toPrintable(text);
  if (line.length <= maxWarningLength) return line;
  // The cut may have gone through a character of two halves.
  return `${line.slice(0, maxWarningLength - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

function listObstacles(obstacles: readonly Obstacle[]): string {
  const shown = obstacles.slice(0, maxListed).map(formatObstacle);
  const rest = obstacles.length - shown.length;
  return toPrintable([...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].join('; '));
}

/** `containers "a" and "b"` would read better, but labels differ in kind: `container "a", init container "b"`. */
function formatPlaces(places: readonly ImagePlace[]): string {
  const shown = places.slice(0, maxListed).map(({ label }) => label);
  const rest = places.length - shown.length;
  return [...shown, ...(rest > 0 ? [`${rest} more`] : [])].join(', ');
}
