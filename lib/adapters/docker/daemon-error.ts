import * as v from 'valibot';
import { CloneError, type CloneErrorCode, type RegistryReason, type Side } from '../../errors.ts';
import { formatReference, type Reference } from '../../image/reference.ts';

/** What a call to the daemon was about. */
export interface Attempt {
  readonly side: Side;
  readonly image: Reference;
}

/** docker-modem's errors are plain `Error`s with fields added; system errors have a `code`. */
const errorSchema = v.object({
  message: v.optional(v.string(), ''),
  statusCode: v.optional(v.number()),
  code: v.optional(v.string()),
  json: v.optional(v.unknown()),
});

const answerSchema = v.object({ message: v.string() });

type Reason = RegistryReason | 'DAEMON';

/** Ordered: a rate limit may come as 429, as 500 or in a stream, and its text may hold other words as well. */
const texts: readonly (readonly [RegExp, Reason])[] = [
  [/toomanyrequests|too many requests|rate limit|HTTP 429|status: 429/i, 'RATE_LIMITED'],
  [/no space left on device|disk quota exceeded/i, 'DAEMON'],
  [
    /no matching manifest|unsupported|not supported|missing or empty Content-Length|schema ?1/i,
    'UNSUPPORTED',
  ],
  // Docker Hub does not tell a missing repository from a private one.
  [
    /denied|unauthorized|forbidden|no basic auth credentials|authentication required|docker login/i,
    'DENIED',
  ],
  [/manifest unknown|name unknown|not found|does not exist/i, 'NOT_FOUND'],
  [
    /dial tcp|no such host|connection refused|connection reset|timeout|deadline|EOF|TLS|x509|server misbehaving|status: 5\d\d|HTTP 5\d\d/i,
    'UNAVAILABLE',
  ],
];

/** What a person can be shown of the daemon's words: they may hold addresses that are nobody's business. */
const shown: readonly (readonly [RegExp, string])[] = [
  [/no such host|server misbehaving/i, 'its name does not resolve'],
  [/connection refused/i, 'connection refused'],
  [/connection reset|EOF/i, 'the connection was cut'],
  [/x509|certificate/i, 'its certificate is not trusted by the docker daemon'],
  [
    /server gave HTTP response to HTTPS client/i,
    'it speaks plain http, which the docker daemon must be told (insecure-registries)',
  ],
  [/timeout|deadline/i, 'it did not answer in time'],
  [/HTTP status: (\d{3})/i, 'it answered with an error'],
];

/** Whether the daemon has no such image itself. */
export function isNotLocal(error: unknown): boolean {
  const { statusCode, text } = read(error);
  return statusCode === 404 || /does not exist locally/.test(text);
}

/** Translates whatever a call to the daemon threw; the text decides only where the status does not. */
export function toCloneError(error: unknown, attempt: Attempt): CloneError {
  if (error instanceof CloneError) return error;
  const { code, statusCode, text } = read(error);
  const reason = code === undefined ? reasonOf(statusCode, text) : 'DAEMON';
  return new CloneError(codeOf(reason, attempt.side), describe(reason, text, attempt), {
    cause: error,
  });
}

function read(error: unknown): { code?: string; statusCode?: number; text: string } {
  const parsed = v.safeParse(errorSchema, error);
  if (!parsed.success) return { text: '' };
  const { message, statusCode, code, json } = parsed.output;
  const answer = v.safeParse(answerSchema, json);
  return {
    text: answer.success ? answer.output.message : message,
    ...(statusCode !== undefined && { statusCode }),
    ...(code !== undefined && { code }),
  };
}

function reasonOf(statusCode: number | undefined, text: string): Reason {
  const byText = texts.find(([pattern]) => pattern.test(text))?.[1];
  if (byText === 'RATE_LIMITED' || statusCode === 429) return 'RATE_LIMITED';
  if (byText !== undefined) return byText;
  if (statusCode === 401 || statusCode === 403) return 'DENIED';
  if (statusCode === 404) return 'NOT_FOUND';
  return 'REFUSED';
}

function codeOf(reason: Reason, side: Side): CloneErrorCode {
  if (reason === 'DAEMON') return 'CLONER_UNAVAILABLE';
  return side === 'source' ? `SOURCE_${reason}` : `BACKUP_${reason}`;
}

function describe(reason: Reason, text: string, { side, image }: Attempt): string {
  const name = formatReference(image);
  const registry = side === 'source' ? image.domain : `the backup registry ${image.domain}`;
  const detail = shown.find(([pattern]) => pattern.test(text))?.[1];
  switch (reason) {
    case 'DAEMON':
      return /no space left|quota/i.test(text)
        ? 'the docker daemon has no space left for the copy'
        : 'the docker daemon cannot be reached; is it running, and is DOCKER_HOST right?';
    case 'NOT_FOUND':
      return side === 'source'
        ? `${name} does not exist on ${image.domain}`
        : `${registry} does not know ${name}`;
    case 'DENIED':
      return side === 'source'
        ? `${image.domain} does not let us read ${name}: it is private, or does not exist`
        : `${registry} refuses the credentials of registry-auth for ${name}`;
    case 'RATE_LIMITED':
      return `${registry} limits how often it may be asked and refused ${name}; try again later${side === 'source' ? ', or log in with SOURCE_AUTH_FILE' : ''}`;
    case 'UNAVAILABLE':
      return `${registry} cannot be reached for ${name}: ${detail ?? 'it answered with an error'}`;
    case 'UNSUPPORTED':
      return `${name} cannot be copied by the docker daemon: ${quote(text)}`;
    case 'REFUSED':
      return `${registry} did not serve ${name}: ${quote(text)}`;
  }
}

/** The daemon's own words, short. What they may contain is a registry's text; the answer to the review makes it printable. */
function quote(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line === '' ? 'no reason was given' : line.slice(0, 200);
}
