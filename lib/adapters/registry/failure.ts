import * as v from 'valibot';
import { CloneError, type RegistryReason } from '../../errors.ts';
import { formatReference, type Reference } from '../../image/reference.ts';
import type { Side } from '../../ports.ts';

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

  constructor(
    reason: RegistryReason,
    message: string,
    options: {
      readonly cause?: unknown;
      readonly isTransient?: boolean;
      readonly retryAfterMs?: number | undefined;
      readonly status?: number;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.isTransient = options.isTransient ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.status = options.status;
  }
}

/** What was asked of whom, for the sentence. */
export interface Attempt {
  readonly side: Side;
  readonly image: Reference;
}

const errorsSchema = v.object({
  errors: v.array(
    v.object({ code: v.optional(v.string(), ''), message: v.optional(v.string(), '') }),
  ),
});

const transientStatuses = new Set([
  408, 425, 429, 499, 500, 502, 503, 504, 520, 521, 522, 523, 524,
]);

/** Codes of the distribution specification that say more than the status. */
const reasonsByCode: Readonly<Record<string, RegistryReason>> = {
  DENIED: 'DENIED',
  UNAUTHORIZED: 'DENIED',
  NAME_UNKNOWN: 'NOT_FOUND',
  MANIFEST_UNKNOWN: 'NOT_FOUND',
  BLOB_UNKNOWN: 'NOT_FOUND',
  TOOMANYREQUESTS: 'RATE_LIMITED',
};

/** Translates an answer that is no success. `text` is its body, cut. */
export function toRegistryError(
  step: string,
  status: number,
  text: string,
  retryAfter?: string,
): RegistryError {
  const { code, message } = readErrors(text);
  const reason = reasonsByCode[code] ?? reasonOf(status);
  const said = message === '' ? `it answered ${status}` : message;
  return new RegistryError(reason, `${step}: ${said}`, {
    status,
    isTransient: transientStatuses.has(status),
    retryAfterMs: parseRetryAfter(retryAfter),
  });
}

/** Translates a connection that failed. System errors and undici's have a `code`. */
export function toConnectionError(step: string, error: unknown): RegistryError | CloneError {
  // A body that fails while it is sent is the other side's failure, and has been translated already.
  if (error instanceof RegistryError || error instanceof CloneError) return error;
  const code = codeOf(error);
  const known = connectionProblems.find(([pattern]) => pattern.test(code))?.[1];
  return new RegistryError('UNAVAILABLE', `${step}: ${known ?? 'the connection failed'}`, {
    cause: error,
    isTransient: !/CERT|SIGNATURE|TLS|ENOTFOUND/.test(code),
  });
}

const connectionProblems: readonly (readonly [RegExp, string])[] = [
  [/ENOTFOUND|EAI_AGAIN/, 'its name does not resolve'],
  [/ECONNREFUSED/, 'connection refused'],
  [/ECONNRESET|EPIPE|UND_ERR_SOCKET|UND_ERR_RES|UND_ERR_REQ/, 'the connection was cut'],
  [/TIMEOUT|ETIMEDOUT/, 'it did not answer in time'],
  [/CERT|SIGNATURE|SELF_SIGNED|ALTNAME/, 'its certificate is not trusted (REGISTRY_CA_FILE)'],
  [/EPROTO|SSL|TLS/, 'it does not speak https (INSECURE_REGISTRIES)'],
  [/EHOSTUNREACH|ENETUNREACH/, 'there is no route to it'],
];

/** The same failure for the one who waits: which side, which image. */
export function toCloneError(error: unknown, { side, image }: Attempt): unknown {
  if (!(error instanceof RegistryError)) return error;
  const code = `${side === 'source' ? 'SOURCE' : 'BACKUP'}_${error.reason}` as const;
  return new CloneError(code, describe(error, { side, image }), { cause: error });
}

function describe({ reason, message }: RegistryError, { side, image }: Attempt): string {
  const name = formatReference(image);
  const registry = side === 'source' ? image.domain : `the backup registry ${image.domain}`;
  switch (reason) {
    case 'NOT_FOUND':
      return side === 'source'
        ? `${name} does not exist on ${image.domain} (${message})`
        : `${registry} does not know ${name} (${message})`;
    case 'DENIED':
      return side === 'source'
        ? `${image.domain} does not let us read ${name}: it is private, or does not exist`
        : `${registry} refuses the credentials of registry-auth for ${name}`;
    case 'RATE_LIMITED':
      return `${registry} limits how often it may be asked and refused ${name}; try again later${side === 'source' ? ', or log in with SOURCE_AUTH_FILE' : ''}`;
    case 'UNAVAILABLE':
      return `${registry} cannot be reached for ${name}: ${message}`;
    case 'UNSUPPORTED':
      return `${name} cannot be copied: ${message}`;
    case 'REFUSED':
      return side === 'source'
        ? `${registry} did not serve ${name}: ${message}`
        : `${registry} did not take ${name}: ${message}`;
  }
}

function reasonOf(status: number): RegistryReason {
  if (status === 429) return 'RATE_LIMITED';
  if (status === 401 || status === 403) return 'DENIED';
  if (status === 404) return 'NOT_FOUND';
  return status >= 500 && status !== 507 ? 'UNAVAILABLE' : 'REFUSED';
}

/** Registries answer with JSON, proxies before them with HTML; only the first is worth showing. */
function readErrors(text: string): { readonly code: string; readonly message: string } {
  try {
    const [first] = v.parse(errorsSchema, JSON.parse(text)).errors;
    return { code: first?.code ?? '', message: (first?.message ?? '').slice(0, 200) };
  } catch {
    // Whatever it is, it is not the specification's error body.
    return { code: '', message: '' };
  }
}

/** Seconds, or a date. */
function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,6}$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const own = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return own === '' && error.cause !== undefined ? codeOf(error.cause) : own;
}
