/** The two ends of a copy: where the image comes from, and the user's own registry. */
export type Side = 'source' | 'backup';

const registryReasons = [
  'NOT_FOUND',
  'DENIED',
  'RATE_LIMITED',
  'UNAVAILABLE',
  'UNSUPPORTED',
  'REFUSED',
] as const;

/** Why a registry did not fulfil a request. */
export type RegistryReason = (typeof registryReasons)[number];

/** Codes are stable, because logs and metrics contain them. */
export type CloneErrorCode =
  | `${'SOURCE' | 'BACKUP'}_${RegistryReason}`
  | 'INVALID_REVIEW'
  | 'INVALID_REFERENCE'
  | 'TOO_MANY_IMAGES'
  | 'REGISTRY_NOT_ALLOWED'
  | 'BACKUP_NOT_OURS'
  | 'BACKUP_PUBLIC'
  | 'BACKUP_GENERATION_LOST'
  | 'CLONER_UNAVAILABLE'
  | 'LINE_FULL'
  | 'INTERRUPTED';

interface CloneErrorOptions {
  readonly cause?: unknown;
  readonly retryAfterMs?: number | undefined;
  readonly isTransient?: boolean;
  readonly isUnreachable?: boolean;
  readonly limitedHost?: string | undefined;
}

/** A failure that users see; the message is a lower-case clause for a terminal, `cause` is for the log. */
export class CloneError extends Error {
  override readonly name = 'CloneError';
  readonly code: CloneErrorCode;
  /** The registry at fault; absent if neither is. */
  readonly side: Side | undefined;
  /** Absent for failures that no registry caused. */
  readonly reason: RegistryReason | undefined;
  /** Another attempt before this time cannot succeed, as far as known. */
  readonly retryAfterMs?: number;
  /** Whether the same request may succeed a moment later. */
  readonly isTransient: boolean;
  /** The request was not sent, or the connection failed, so that no other request can succeed now. */
  readonly isUnreachable: boolean;
  /** The host whose rate limit it is, if not the registry's own: the registry referred to it. */
  readonly limitedHost: string | undefined;

  constructor(code: CloneErrorCode, message: string, options?: CloneErrorOptions) {
    super(message, options);
    this.code = code;
    const side = sideOf(code);
    this.side = side;
    this.reason = side && registryReasons.find((reason) => code === registryCode(side, reason));
    this.isTransient = options?.isTransient ?? false;
    this.isUnreachable = options?.isUnreachable ?? false;
    this.limitedHost = options?.limitedHost;
    if (options?.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }
}

/** `SOURCE_NOT_FOUND` for `source` and `NOT_FOUND`. */
export function registryCode(
  side: Side,
  reason: RegistryReason,
): `${'SOURCE' | 'BACKUP'}_${RegistryReason}` {
  return `${side === 'source' ? 'SOURCE' : 'BACKUP'}_${reason}`;
}

/** How a message names the registry of one side. */
export function describeRegistry(side: Side, domain: string): string {
  return side === 'source' ? domain : `the backup registry ${domain}`;
}

/** Whether `error` is a failure of one side, for one of `reasons` if any are given. */
export function isFailureOf(
  side: Side,
  error: unknown,
  reasons: readonly RegistryReason[] = [],
): error is CloneError {
  if (!(error instanceof CloneError) || error.side !== side) return false;
  return reasons.length === 0 || (error.reason !== undefined && reasons.includes(error.reason));
}

/** The copy did not begin, and no registry is at fault: shutdown, hang-up or a full queue. The next review can begin it. */
export function isPostponed({ code }: CloneError): boolean {
  return code === 'INTERRUPTED' || code === 'LINE_FULL';
}

function sideOf(code: CloneErrorCode): Side | undefined {
  if (code.startsWith('SOURCE_')) return 'source';
  return code.startsWith('BACKUP_') ? 'backup' : undefined;
}

/** The configuration cannot work; `problems` holds one sentence for each thing to correct. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}
