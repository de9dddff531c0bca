import * as v from 'valibot';
import type { RegistryReason } from '../../../errors.ts';
import { type CredentialsUse, RegistryError } from './registry-error.ts';

/** A response that is no success. */
export interface ErrorResponse {
  readonly status: number;
  /** The body, as far as it was read. */
  readonly text: string;
  /** The host that answered, if it is not the registry. */
  readonly host?: string | undefined;
  /** Whether the request was a read. @default false */
  readonly isRead?: boolean;
  /** Names the sender in a quotation. @default `it` */
  readonly speaker?: string;
  /** For a denial. */
  readonly use?: CredentialsUse;
  /** The header `Retry-After`. */
  readonly retryAfter?: string | undefined;
  /** Milliseconds since 1970, for a `Retry-After` that is a date. */
  readonly now: number;
  /** Error codes that are transient for this request only. */
  readonly transientCodes?: readonly string[] | undefined;
}

const errorsSchema = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({
    errors: v.array(
      v.object({
        code: v.fallback(v.string(), ''),
        message: v.fallback(v.string(), ''),
        // An object in most registries; Nexus has its reason there.
        detail: v.fallback(v.string(), ''),
      }),
    ),
  }),
);

/** Error bodies of token servers and proxies. */
const otherErrorSchema = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({
    error_description: v.fallback(v.string(), ''),
    message: v.fallback(v.string(), ''),
    details: v.fallback(v.string(), ''),
    error: v.fallback(v.string(), ''),
  }),
);

const transientStatuses = new Set([
  408, 425, 429, 499, 500, 502, 503, 504, 520, 521, 522, 523, 524,
]);

/** Codes of the distribution specification say more than the status that they come with. */
const reasonsByCode: ReadonlyMap<string, RegistryReason> = new Map([
  ['DENIED', 'DENIED'],
  ['UNAUTHORIZED', 'DENIED'],
  ['NAME_UNKNOWN', 'NOT_FOUND'],
  ['MANIFEST_UNKNOWN', 'NOT_FOUND'],
  ['BLOB_UNKNOWN', 'NOT_FOUND'],
  ['TOOMANYREQUESTS', 'RATE_LIMITED'],
  ['UNAVAILABLE', 'UNAVAILABLE'],
  ['BLOB_UPLOAD_INVALID', 'REFUSED'],
  ['BLOB_UPLOAD_UNKNOWN', 'REFUSED'],
  ['DIGEST_INVALID', 'REFUSED'],
  ['MANIFEST_BLOB_UNKNOWN', 'REFUSED'],
  ['MANIFEST_INVALID', 'REFUSED'],
  ['NAME_INVALID', 'REFUSED'],
  ['SIZE_INVALID', 'REFUSED'],
  ['TAG_INVALID', 'REFUSED'],
  ['UNSUPPORTED', 'REFUSED'],
]);

/** After the last two, a new upload session may succeed. */
const transientCodes = [
  'TOOMANYREQUESTS',
  'UNAVAILABLE',
  'BLOB_UPLOAD_INVALID',
  'BLOB_UPLOAD_UNKNOWN',
];

/** For statuses of writes that need advice. */
const statusMessages: ReadonlyMap<number, string> = new Map([
  [
    413,
    'the upload is too large (413); raise the size limit of the registry or of the proxy before it',
  ],
  [507, 'no space left (507); free space in the registry'],
]);

/** For a full quota, Harbor sends 403 DENIED, Quay and Artifactory their own texts; the credentials are not at fault. */
const quotaPattern =
  /\bquota\b|exceed\w* .*\b(limit|quota|storage)\b|no space left|storage (limit|is full)/i;

/** They say no more than the status, and most registries send one for what does not exist, too. */
const usualDenials = new Set([
  'access denied',
  'access forbidden',
  'access to the requested resource is not authorized',
  'authentication required',
  'denied',
  'forbidden',
  'insufficient_scope',
  'not authorized',
  'permission denied',
  'requested access to the resource is denied',
  'unauthenticated',
  'unauthorized',
]);

const maxMessageLength = 200;
const maxPlainLength = 500;

/** Translates a response that is no success. */
export function toRegistryError(step: string, response: ErrorResponse): RegistryError {
  const { status, text, host, retryAfter, now, isRead = false } = response;
  const { code, message } = readErrors(text);
  const isFull = status >= 400 && status !== 429 && quotaPattern.test(message);
  const known = isFull
    ? `no storage left (${message})`
    : isRead
      ? undefined
      : adviseOnWrite(status, code, message);
  if (known !== undefined)
    return new RegistryError('REFUSED', `${step}: ${known}`, { status, host });
  const reason = reasonsByCode.get(code) ?? reasonOf(status);
  if (reason === 'DENIED') return toDenial(step, response, code, message || readPlainText(text));
  return new RegistryError(reason, `${step}: ${describe(status, code, message)}`, {
    status,
    code,
    host,
    isTransient: reasonsByCode.has(code)
      ? [...transientCodes, ...(response.transientCodes ?? [])].includes(code)
      : transientStatuses.has(status),
    retryAfterMs: parseRetryAfter(retryAfter, now),
  });
}

function adviseOnWrite(status: number, code: string, message: string): string | undefined {
  if (status !== 405) return statusMessages.get(status);
  const isVague = message === '' || code === 'UNKNOWN';
  const words = isVague ? 'the method is not allowed' : message.replace(/\.$/, '');
  return `${words} (405); is the registry read-only, or a pull-through cache?`;
}

function describe(status: number, code: string, message: string): string {
  // The message of UNKNOWN is as vague as its code.
  if (message !== '' && code !== 'UNKNOWN') return message;
  const detail = message === '' && code !== 'UNKNOWN' ? code : message;
  return `status ${status}${detail === '' ? '' : ` (${detail})`}`;
}

function toDenial(
  step: string,
  { status, host, use = {}, speaker = 'it' }: ErrorResponse,
  code: string,
  message: string,
): RegistryError {
  const isUsual = message === '' || usualDenials.has(message.toLowerCase().replace(/\.$/, ''));
  const words = isUsual ? undefined : `${speaker} says "${message.replaceAll('"', "'")}"`;
  const withheld = use.withheld === undefined ? '' : `; ${use.withheld}`;
  const text = `${step}: ${describe(status, code, message)}${withheld}`;
  return new RegistryError('DENIED', text, { status, code, host, words, use });
}

function reasonOf(status: number): RegistryReason {
  if (status === 429) return 'RATE_LIMITED';
  if (status === 401 || status === 403) return 'DENIED';
  if (status === 404) return 'NOT_FOUND';
  return transientStatuses.has(status) || status > 500 ? 'UNAVAILABLE' : 'REFUSED';
}

/** Reads the error body of the specification; the HTML of a proxy is not shown. */
function readErrors(text: string): { readonly code: string; readonly message: string } {
  const { success, output } = v.safeParse(errorsSchema, text, { abortEarly: true });
  const errors = success ? output.errors : [];
  // Distribution lists some after a first one with UNKNOWN.
  const specific = errors.find(({ code }) => reasonsByCode.has(code)) ?? errors[0];
  const { code = '', message = '', detail = '' } = specific ?? {};
  const parts = [message, detail].filter((part) => part !== '');
  return { code, message: toSafeText(parts.join(': ')) };
}

/** The error body of a token server, or a line of text; the HTML of a proxy is not shown. */
function readPlainText(text: string): string {
  const { success, output } = v.safeParse(otherErrorSchema, text);
  if (success) {
    const { error_description, message, details, error } = output;
    return toSafeText(error_description || message || details || error);
  }
  return /^\s*[<{[]/.test(text) || text.length > maxPlainLength ? '' : toSafeText(text);
}

/** Text of a registry: one line, short, and without secrets of a URL or a header. */
function toSafeText(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .replaceAll(/(https?:\/\/)(?:[^\s/@]*@)?([^\s?#]*)[^\s]*/gi, '$1$2')
    .replaceAll(/\b(Basic|Bearer) [\w.~+/=-]{8,}/gi, '$1 …')
    .trim()
    .slice(0, maxMessageLength)
    .toWellFormed();
}

/** Seconds, seconds since 1970 (Docker Hub, GitHub), or a date; a registry that sends something else has not said how long. */
function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}(\.\d+)?$/.test(value)) return Math.ceil(Number(value)) * 1000;
  if (/^\d{10}$/.test(value)) return Math.max(0, Number(value) * 1000 - now);
  // Date.parse reads numbers as years.
  const isDate = /^(?:[A-Za-z]|\d{4}-\d\d-\d\dT)/.test(value);
  const date = isDate ? Date.parse(value) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
