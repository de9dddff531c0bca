import { CloneError, type RegistryReason, registryCode, type Side } from '../../../errors.ts';
import { formatReference, type Reference } from '../../../image/reference.ts';
import { formatDuration } from '../../../util/duration.ts';
import {
  type ConnectionProblem,
  connectionProblemOf,
  connectionWords,
} from './connection-error.ts';

/** A registry's answer that is not the one we need, or the lack of any. Which side it is, is known further out. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  readonly reason: RegistryReason;
  /** Whether the same request may go better later. */
  readonly isTransient: boolean;
  /** From `Retry-After`, as far as the registry sent one. */
  readonly retryAfterMs: number | undefined;
  /** Absent where there was no answer. */
  readonly status: number | undefined;
  /** The specification's, as far as the registry sent one. */
  readonly code: string | undefined;
  /** Present where there was no answer. */
  readonly problem: ConnectionProblem | undefined;

  constructor(
    reason: RegistryReason,
    message: string,
    options: {
      readonly cause?: unknown;
      readonly isTransient?: boolean;
      readonly retryAfterMs?: number | undefined;
      readonly status?: number;
      readonly code?: string;
      readonly problem?: ConnectionProblem;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.isTransient = options.isTransient ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.status = options.status;
    this.code = options.code;
    this.problem = options.problem;
  }
}

/** What was asked of whom, for the sentence. */
export interface Attempt {
  readonly side: Side;
  readonly image: Reference;
}

/** What undici could not read, and TLS's certificate: up to 100 KiB of a stranger's, and failures are remembered by the thousand. */
const heavyProperties = ['data', 'cert'];

/** Translates a connection that failed. */
export function toConnectionError(step: string, error: unknown): RegistryError | CloneError {
  // A body that fails while it is sent is the other side's failure, and has been translated already.
  if (error instanceof RegistryError || error instanceof CloneError) return error;
  const { problem, isPassing } = connectionProblemOf(error);
  if (error instanceof Error)
    for (const heavy of heavyProperties) Reflect.deleteProperty(error, heavy);
  return new RegistryError('UNAVAILABLE', `${step}: ${connectionWords[problem]}`, {
    cause: error,
    isTransient: isPassing,
    problem,
  });
}

/** The same failure for the one who waits: which side, which image. */
export function toCloneError(error: unknown, { side, image }: Attempt): unknown {
  if (!(error instanceof RegistryError)) return error;
  const { retryAfterMs } = error;
  return new CloneError(registryCode(side, error.reason), describe(error, { side, image }), {
    cause: error,
    retryAfterMs,
    isTransient: error.isTransient,
  });
}

/** Whether the same may go better later, whoever has translated it. */
export function isTransient(error: unknown): boolean {
  if (error instanceof RegistryError) return error.isTransient;
  return error instanceof CloneError
    ? isTransient(error.cause)
    : connectionProblemOf(error).isPassing;
}

function describe(
  { reason, message, status, retryAfterMs }: RegistryError,
  { side, image }: Attempt,
): string {
  const name = formatReference(image);
  const registry = side === 'source' ? image.domain : `the backup registry ${image.domain}`;
  switch (reason) {
    case 'NOT_FOUND':
      return side === 'source'
        ? `${name} does not exist on ${image.domain} (${message})`
        : `${registry} does not know ${name} (${message}); some want a repository to be created first`;
    case 'DENIED':
      return side === 'source'
        ? `${image.domain} does not let us read ${name}: it is private, or does not exist`
        : `${registry} refuses the credentials of registry-auth for ${name} (${message})`;
    case 'RATE_LIMITED':
      return `${registry} limits how often it may be asked and refused ${name}; try again ${formatPause(retryAfterMs)}${side === 'source' ? ', or log in with SOURCE_AUTH_FILE' : ''}`;
    case 'UNAVAILABLE':
      return status === undefined
        ? `${registry} cannot be reached for ${name}: ${message}`
        : `${registry} has trouble with ${name}: ${message}`;
    case 'UNSUPPORTED':
      return `${name} cannot be copied: ${message}`;
    case 'REFUSED':
      return side === 'source'
        ? `${registry} did not serve ${name}: ${message}`
        : `${registry} did not take ${name}: ${message}`;
  }
}

function formatPause(ms: number | undefined): string {
  return ms === undefined || ms === 0 ? 'later' : `in ${formatDuration(ms)}`;
}
