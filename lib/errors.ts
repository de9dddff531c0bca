/** Every reason for a failure that we can name. Codes are stable; code branches on them, never on messages. */
export type CloneErrorCode =
  | 'INVALID_REVIEW'
  | 'INVALID_REFERENCE'
  | 'REGISTRY_NOT_ALLOWED'
  | 'SOURCE_NOT_FOUND'
  | 'SOURCE_DENIED'
  | 'SOURCE_RATE_LIMITED'
  | 'SOURCE_UNAVAILABLE'
  | 'SOURCE_UNSUPPORTED'
  | 'BACKUP_DENIED'
  | 'BACKUP_RATE_LIMITED'
  | 'BACKUP_UNAVAILABLE'
  | 'BACKUP_REFUSED'
  | 'BACKUP_NOT_OURS'
  | 'BACKUP_GENERATION_LOST'
  | 'CLONER_UNAVAILABLE'
  | 'INTERRUPTED';

/** A failure that a person can be told about; the message is a lower-case clause for a terminal, `cause` is for the log. */
export class CloneError extends Error {
  override readonly name = 'CloneError';
  readonly code: CloneErrorCode;

  constructor(code: CloneErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
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
