/** Why a registry did not do what it was asked for. */
export type RegistryReason =
  | 'NOT_FOUND'
  | 'DENIED'
  | 'RATE_LIMITED'
  | 'UNAVAILABLE'
  | 'UNSUPPORTED'
  | 'REFUSED';

/** Every reason for a failure that we can name. Codes are stable; code branches on them, never on messages. */
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

/** A failure that a person can be told about; the message is a lower-case clause for a terminal, `cause` is for the log. */
export class CloneError extends Error {
  override readonly name = 'CloneError';
  readonly code: CloneErrorCode;
  /** How long it is no use to try again, as far as that is known. */
  readonly retryAfterMs?: number;

  constructor(
    code: CloneErrorCode,
    message: string,
    options?: { readonly cause?: unknown; readonly retryAfterMs?: number | undefined },
  ) {
    super(message, options);
    this.code = code;
    if (options?.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }
}

/** The configuration cannot work; `problems` holds one sentence for each thing to mend. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}
