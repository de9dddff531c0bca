import * as v from 'valibot';
import type { RegistryReason } from '../../../errors.ts';
import { RegistryError } from './registry-error.ts';

/** An answer that is no success. */
export interface Refusal {
  readonly status: number;
  /** Its body, as far as it was read. */
  readonly text: string;
  /** The header `Retry-After`. */
  readonly retryAfter?: string | undefined;
  /** Milliseconds since 1970, for a `Retry-After` that is a date. */
  readonly now: number;
  /** Codes that are no verdict on what was sent, whatever they say: the same may go better. */
  readonly passingCodes?: readonly string[] | undefined;
}

const errorsSchema = v.object({
  errors: v.array(
    v.object({
      code: v.fallback(v.string(), ''),
      message: v.fallback(v.string(), ''),
    }),
  ),
});

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

/** The last two: the session is gone, and a new one may do. */
const transientCodes = [
  'TOOMANYREQUESTS',
  'UNAVAILABLE',
  'BLOB_UPLOAD_INVALID',
  'BLOB_UPLOAD_UNKNOWN',
];

/** Where the number alone tells nobody what to do. */
const statusWords: ReadonlyMap<number, string> = new Map([
  [413, 'it takes nothing that large (413); is there a limit in front of it?'],
  [507, 'it has no space left (507)'],
]);

/** Harbor says 403 DENIED of a quota, Quay and Artifactory have words of their own; none means the credentials. */
const quotaWords =
  /\bquota\b|exceed\w* .*\b(limit|quota|storage)\b|no space left|storage (limit|is full)/i;

const maxMessageLength = 200;

/** Translates an answer that is no success. */
export function toRegistryError(step: string, refusal: Refusal): RegistryError {
  const { status, text, retryAfter, now, passingCodes = [] } = refusal;
  const { code, message } = readErrors(text);
  const isFull = status >= 400 && status !== 429 && quotaWords.test(message);
  const words = statusWords.get(status);
  if (isFull || words !== undefined) {
    const said = isFull ? `it has no room left (${message})` : words;
    return new RegistryError('REFUSED', `${step}: ${said}`, { status });
  }
  // UNKNOWN comes with words that say as little.
  const isTelling = message !== '' && code !== 'UNKNOWN';
  const said = `it answered ${status}${message === '' ? '' : ` (${message})`}`;
  return new RegistryError(
    reasonsByCode.get(code) ?? reasonOf(status),
    `${step}: ${isTelling ? message : said}`,
    {
      status,
      code,
      isTransient: reasonsByCode.has(code)
        ? [...transientCodes, ...passingCodes].includes(code)
        : transientStatuses.has(status),
      retryAfterMs: parseRetryAfter(retryAfter, now),
    },
  );
}

function reasonOf(status: number): RegistryReason {
  if (status === 429) return 'RATE_LIMITED';
  if (status === 401 || status === 403) return 'DENIED';
  if (status === 404) return 'NOT_FOUND';
  return transientStatuses.has(status) || status > 500 ? 'UNAVAILABLE' : 'REFUSED';
}

/** Registries answer with JSON, proxies before them with HTML; only the first is worth showing. */
function readErrors(text: string): { readonly code: string; readonly message: string } {
  try {
    const { errors } = v.parse(errorsSchema, JSON.parse(text), { abortEarly: true });
    // Distribution hides some behind a first one that says UNKNOWN.
    const telling = errors.find(({ code }) => reasonsByCode.has(code)) ?? errors[0];
    return { code: telling?.code ?? '', message: toSentence(telling?.message ?? '') };
  } catch {
    // Whatever it is, it is not the specification's error body.
    return { code: '', message: '' };
  }
}

/** What others wrote: on one line, short, and without what a URL or a header may hold that is secret. */
function toSentence(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .replaceAll(/(https?:\/\/)(?:[^\s/@]*@)?([^\s?#]*)[^\s]*/gi, '$1$2')
    .replaceAll(/\b(Basic|Bearer) [\w.~+/=-]{8,}/gi, '$1 …')
    .trim()
    .slice(0, maxMessageLength)
    .toWellFormed();
}

/** Seconds, seconds since 1970 as Docker Hub and GitHub send them, or a date. */
function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  if (/^\d{10}$/.test(value)) return Math.max(0, Number(value) * 1000 - now);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
