import { toPrintable } from '../../util/printable.ts';

/** Why an identity gives no credentials. Callers add the side and the registry. */
export class IdentityError extends Error {
  override readonly name = 'IdentityError';
  /** Whether the same request may succeed later. */
  readonly isTransient: boolean;

  constructor(message: string, { isTransient, cause }: IdentityErrorOptions) {
    super(message, { cause: cause === undefined ? undefined : toCause(cause) });
    this.isTransient = isTransient;
  }
}

interface IdentityErrorOptions {
  readonly isTransient: boolean;
  /** The vendor's error. */
  readonly cause?: unknown;
}

const maxTextLength = 500;

/** A vendor's error holds requests and responses, and so tokens; only its name and message are kept. */
function toCause(error: unknown): Error {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return new Error(toSafeText(`${name}: ${message}`));
}

/** The text of a vendor's server: one line, short, and without tokens. */
export function toSafeText(text: string, maxLength = maxTextLength): string {
  return toPrintable(text)
    .replaceAll(/\b[\w.~+/=-]{80,}/g, '…')
    .trim()
    .slice(0, maxLength)
    .toWellFormed();
}
