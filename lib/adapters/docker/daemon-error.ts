import * as v from 'valibot';
import {
  CloneError,
  describeRegistry,
  type RegistryReason,
  registryCode,
  type Side,
} from '../../errors.ts';
import { formatReference, type Reference } from '../../image/reference.ts';
import { toName } from './names.ts';

/** The image that a call to the daemon was for. */
export interface Attempt {
  readonly side: Side;
  readonly image: Reference;
}

/** docker-modem adds fields to a plain `Error`; system errors have a `code`. */
const errorSchema = v.fallback(
  v.object({
    message: v.optional(v.string(), ''),
    statusCode: v.optional(v.number()),
    code: v.optional(v.string()),
    /** The daemon's response. */
    json: v.fallback(v.optional(v.object({ message: v.string() })), undefined),
  }),
  { message: '' },
);

/** An error of a call to the daemon: either no connection, with a `code`, or a response. */
export interface DaemonError {
  readonly code?: string | undefined;
  readonly statusCode?: number | undefined;
  readonly text: string;
}

type Reason = RegistryReason | 'DAEMON';

/** The first match counts: a rate limit arrives as 429, as 500 or in a stream, and its text can match later rows too. */
const reasonPatterns: readonly (readonly [RegExp, Reason])[] = [
  [/toomanyrequests|too many requests|rate limit|HTTP 429|status: 429/i, 'RATE_LIMITED'],
  [/no space left on device|disk quota exceeded/i, 'DAEMON'],
  [
    /no matching manifest|unsupported|not supported|missing or empty Content-Length|schema ?1/i,
    'UNSUPPORTED',
  ],
  // Docker Hub does not distinguish a missing repository from a private one.
  [
    /denied|unauthorized|forbidden|no basic auth credentials|authentication required|docker login/i,
    'DENIED',
  ],
  [/manifest unknown|name unknown|not found|does not exist/i, 'NOT_FOUND'],
  [
    /dial tcp|no such host|connection refused|connection reset|timeout|deadline|EOF|TLS|x509|server gave HTTP response|server misbehaving|status: 5\d\d|HTTP 5\d\d/i,
    'UNAVAILABLE',
  ],
];

/** Replaces the daemon's text, which can contain internal addresses. */
const outagePatterns: readonly (readonly [RegExp, string])[] = [
  [/no such host|server misbehaving/i, "its name does not resolve; check the node's DNS"],
  [/connection refused/i, 'connection refused'],
  [/connection reset|EOF/i, 'the connection was closed early'],
  [
    /x509|certificate/i,
    'the docker daemon does not trust its certificate; add its CA to /etc/docker/certs.d',
  ],
  [
    /server gave HTTP response to HTTPS client/i,
    'it uses plain HTTP; add it to insecure-registries of the docker daemon',
  ],
  [/timeout|deadline/i, 'it did not answer in time'],
];

/** Whether the daemon's local image store does not have the image. */
export function isNotLocal(error: unknown): boolean {
  const { statusCode, text } = parseDaemonError(error);
  return statusCode === 404 || /does not exist locally/.test(text);
}

/** Translates an error of a call to the daemon; the text takes precedence because dockerd answers most failures with 500. */
export function toCloneError(error: unknown, attempt: Attempt): CloneError {
  if (error instanceof CloneError) return error;
  const { code, statusCode, text } = parseDaemonError(error);
  const reason = code === undefined ? toReason(statusCode, text) : 'DAEMON';
  const name = formatReference(attempt.image);
  if (reason !== 'DAEMON') {
    const message = describe(reason, text, attempt);
    return new CloneError(registryCode(attempt.side, reason), message, { cause: error });
  }
  if (code !== undefined) return toUnreachable(error);
  const message = `the docker daemon has no space left to copy ${name}: free disk space on its node`;
  return new CloneError('CLONER_UNAVAILABLE', message, { cause: error });
}

/** Translates an error of a call that the daemon did not answer. */
export function toUnreachable(error: unknown): CloneError {
  const message = `the docker daemon cannot be reached (${describeCode(error)}): check that it runs and that DOCKER_HOST names its socket`;
  return new CloneError('CLONER_UNAVAILABLE', message, { cause: error });
}

/** `ECONNREFUSED`, `HTTP 500` */
export function describeCode(error: unknown): string {
  const { code, statusCode } = parseDaemonError(error);
  return code === 'ABORT_ERR' ? 'timeout' : (code ?? `HTTP ${statusCode}`);
}

/** Another process removed the local image between two steps. */
export class LocalImageGone extends CloneError {
  constructor(image: string, options: { readonly isTransient?: boolean } = {}) {
    super(
      'CLONER_UNAVAILABLE',
      `the docker daemon removed ${image} during its copy: apply again; if it repeats, free disk space on the daemon's node`,
      options,
    );
  }
}

/** A body that ends early and an abort throw the same errors; the signal distinguishes them. */
export async function translateFailures(
  attempt: Attempt,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  try {
    signal.throwIfAborted();
    await work();
  } catch (error) {
    signal.throwIfAborted();
    if (isNotLocal(error) && attempt.side === 'backup')
      throw new LocalImageGone(toName(attempt.image));
    throw toCloneError(error, attempt);
  }
}

export function parseDaemonError(error: unknown): DaemonError {
  const { message, json, ...codes } = v.parse(errorSchema, error);
  return { ...codes, text: json?.message ?? message };
}

function toReason(statusCode: number | undefined, text: string): Reason {
  const byText = reasonPatterns.find(([pattern]) => pattern.test(text))?.[1];
  if (byText === 'RATE_LIMITED' || statusCode === 429) return 'RATE_LIMITED';
  if (byText !== undefined) return byText;
  if (statusCode === 401 || statusCode === 403) return 'DENIED';
  if (statusCode === 404) return 'NOT_FOUND';
  return 'REFUSED';
}

function describe(reason: RegistryReason, text: string, { side, image }: Attempt): string {
  const name = formatReference(image);
  const isSource = side === 'source';
  const registry = describeRegistry(side, image.domain);
  switch (reason) {
    case 'NOT_FOUND':
      return isSource
        ? `${name} does not exist on ${image.domain}; check its name and tag`
        : `${registry} does not have ${name}; if it creates no repository on push, create it first`;
    case 'DENIED':
      return isSource
        ? `${image.domain} denied access to ${name}: the image is private or does not exist; check its name, or add credentials to SOURCE_AUTH_FILE`
        : `${registry} rejected the credentials in registry-auth for ${name}; update the Secret, or the permissions of its user`;
    case 'RATE_LIMITED':
      return `${registry} rejected the request for ${name}: rate limit; try again later${isSource ? ', or authenticate (SOURCE_AUTH_FILE) to get a separate limit' : ''}`;
    case 'UNAVAILABLE': {
      const detail = outagePatterns.find(([pattern]) => pattern.test(text))?.[1];
      return `${registry} cannot be reached for ${name}: ${detail ?? 'it answered with an error'}`;
    }
    case 'UNSUPPORTED':
      return `the docker daemon cannot copy ${name}: ${quote(text)}; CLONER=registry supports more platforms and formats`;
    case 'REFUSED':
      return `${registry} did not ${isSource ? 'serve' : 'accept'} ${name}: ${quote(text)}`;
  }
}

/** The registry controls this text: it is cut here, and the admission response makes it printable. */
function quote(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line === '' ? 'no reason was given' : line.slice(0, 200);
}
