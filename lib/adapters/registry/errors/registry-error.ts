import {
  CloneError,
  describeRegistry,
  type RegistryReason,
  registryCode,
  type Side,
} from '../../../errors.ts';
import { formatReference, type Reference } from '../../../image/reference.ts';
import { formatDuration } from '../../../util/quantity.ts';
import {
  type ConnectionProblem,
  connectionProblemOf,
  describePlainHttpToHttps,
  describeProblem,
  isUnreachable,
} from './connection-error.ts';

/** What became of the client's credentials. */
export interface CredentialsUse {
  /** `rejected` if a password was answered by 401; `sent` if another reason is possible, too. */
  readonly credentials?: 'sent' | 'rejected';
  /** Why the password was not sent. */
  readonly withheld?: string;
}

/** An error response of a registry, or no response. Callers add the side and the image. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  readonly reason: RegistryReason;
  /** Whether the same request may succeed later. */
  readonly isTransient: boolean;
  /** From `Retry-After`; absent if the registry sent none. */
  readonly retryAfterMs: number | undefined;
  /** Absent if there was no response. */
  readonly status: number | undefined;
  /** An error code of the distribution specification; absent if the registry sent none. */
  readonly code: string | undefined;
  /** The host that answered, if it is not the registry: the registry referred to it. */
  readonly host: string | undefined;
  /** What the registry says about a denial, if it is more than that it denies. */
  readonly words: string | undefined;
  readonly use: CredentialsUse;
  /** Present if there was no response. */
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
      readonly host?: string | undefined;
      readonly words?: string | undefined;
      readonly use?: CredentialsUse | undefined;
      readonly problem?: ConnectionProblem;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.isTransient = options.isTransient ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.status = options.status;
    this.code = options.code;
    this.host = options.host;
    this.words = options.words;
    this.use = options.use ?? {};
    this.problem = options.problem;
  }
}

/** The image cannot be copied, by this or by any attempt. */
export function unsupported(message: string, cause?: unknown): RegistryError {
  return new RegistryError('UNSUPPORTED', message, { cause });
}

/** What a failed request was for. */
export interface ErrorContext {
  readonly side: Side;
  readonly image: Reference;
  /** @default it was a read */
  readonly isWrite?: boolean;
}

/** Bytes that undici could not parse, and TLS's certificate: up to 100 KiB that a remote host chooses, in errors that are cached. */
const heavyProperties = ['data', 'cert'];

const maxShownPauseMs = 86_400_000;
const createAdvice = '; if it creates no repository on push, create it first';

/** The destination of a request. */
interface Destination {
  readonly url: URL;
  /** `INSECURE_REGISTRIES` lists its host. */
  readonly isListedAsInsecure: boolean;
}

/** Translates a failed connection; `to` is absent if a response had begun. */
export function toConnectionError(
  step: string,
  error: unknown,
  to?: Destination,
): RegistryError | CloneError {
  // A request body that fails carries the translated error of the other side.
  if (error instanceof RegistryError || error instanceof CloneError) return error;
  const { problem, isTransient } = connectionProblemOf(error);
  if (error instanceof Error)
    for (const heavy of heavyProperties) Reflect.deleteProperty(error, heavy);
  // A TLS server answers plain http with an alert, which is no HTTP.
  if (problem === 'not-http' && to?.url.protocol === 'http:')
    return toPlainHttpToHttpsError(to, error);
  const message = describeProblem(problem, step, to?.url);
  return new RegistryError('UNAVAILABLE', message, { cause: error, isTransient, problem });
}

/** A request in plain http reached a server that speaks https. */
export function toPlainHttpToHttpsError(
  { url, isListedAsInsecure }: Destination,
  cause?: unknown,
): RegistryError {
  const message = describePlainHttpToHttps(url, isListedAsInsecure);
  return new RegistryError('UNAVAILABLE', message, { cause, problem: 'not-plain-http' });
}

/** Adds the side and the image to a `RegistryError`; returns every other error as it is. */
export function toCloneError(error: unknown, context: ErrorContext): unknown {
  if (!(error instanceof RegistryError)) return error;
  const { reason, retryAfterMs, isTransient, problem, host } = error;
  const options = {
    cause: error,
    retryAfterMs,
    isTransient,
    isUnreachable: isUnreachable(problem),
    limitedHost: reason === 'RATE_LIMITED' ? host : undefined,
  };
  return new CloneError(registryCode(context.side, reason), describe(error, context), options);
}

/** Whether the same request may succeed later. */
export function isTransient(error: unknown): boolean {
  if (error instanceof RegistryError) return error.isTransient;
  return error instanceof CloneError
    ? isTransient(error.cause)
    : connectionProblemOf(error).isTransient;
}

function describe(error: RegistryError, { side, image, isWrite = false }: ErrorContext): string {
  const { reason, message, status, code, host, retryAfterMs } = error;
  const name = formatReference(image);
  const isSource = side === 'source';
  const registry = describeRegistry(side, image.domain);
  const subject = host === undefined ? registry : `${registry} refers to ${host}, which`;
  switch (reason) {
    case 'NOT_FOUND':
      return isSource
        ? // A missing root manifest is reported before, without this error.
          `${image.domain} does not have all of ${name} (${message})`
        : `${registry} does not have ${name} (${message})${isWrite ? createAdvice : ''}`;
    case 'DENIED':
      return `${subject} ${isSource ? describeSourceDenial(error, name) : describeBackupDenial(error, name)}`;
    case 'RATE_LIMITED':
      return `${subject} rejected the request for ${name}: rate limit; try again ${formatPause(retryAfterMs)}${isSource && host === undefined ? ', or authenticate (SOURCE_AUTH_FILE) to get a separate limit' : ''}`;
    case 'UNAVAILABLE':
      return status === undefined
        ? `${subject} cannot be reached for ${name}: ${message}`
        : `${subject} returned an error for ${name}: ${message}`;
    case 'UNSUPPORTED':
      return `${name} cannot be copied: ${message}`;
    case 'REFUSED':
      return `${subject} did not ${isWrite ? 'accept' : 'serve'} ${name}: ${message}${!isSource && code === 'NAME_INVALID' ? adviseOnName(image) : ''}`;
  }
}

/** Amazon ECR and Gitea accept no `__`; Docker Hub and Quay.io accept two levels. */
function adviseOnName({ path }: Reference): string {
  if (path.includes('__')) return '; if it does not accept "__" in names, set NAMING=nested';
  const isDeep = path.split('/').length > 2;
  return isDeep ? '; if it accepts only two levels of names, set NAMING=flat' : '';
}

function describeSourceDenial({ words, use }: RegistryError, name: string): string {
  const given = use.credentials === undefined ? '' : ' with the credentials given';
  const known = [words, use.withheld].filter((part) => part !== undefined);
  const why = known.length > 0 ? known.join('; ') : 'the image is private or does not exist';
  return `denied access to ${name}${given}: ${why}`;
}

function describeBackupDenial({ message, use }: RegistryError, name: string): string {
  if (use.credentials === 'rejected')
    return `rejected the credentials in registry-auth for ${name} (${message}); update the Secret, or the permissions of its user`;
  const advice =
    use.withheld === undefined ? '; check the user in registry-auth and its permissions' : '';
  return `denied access to ${name} (${message})${advice}`;
}

/** The exact pause, unless it is longer than a day. */
function formatPause(ms = 0): string {
  return ms === 0 || ms > maxShownPauseMs ? 'later' : `in ${formatDuration(ms)}`;
}
