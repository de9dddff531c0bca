import { CloneError, isFailureOf, type RegistryReason } from '../../errors.ts';
import { canonicalReference, formatReference, type Reference } from '../../image/reference.ts';
import type {
  CredentialSource,
  Credentials,
  ImageCloner,
  PullSecretRefs,
  RegistryAccess,
  ResolvedImage,
  WorkloadKeyring,
  WorkloadSecrets,
} from '../../ports/index.ts';
import { withDeadline } from '../../util/abort.ts';
import {
  type CircuitBreaker,
  createCircuitBreaker,
  createNegativeCache,
  createRateLimits,
  type GuardedCall,
  type RateLimits,
} from '../registry-health/index.ts';

/** A source image that exists now, and the access that showed it. */
export interface CheckedSource extends ResolvedImage {
  readonly access: RegistryAccess;
  /** Whose credentials they were: the workload's own pull secret, ours (`SOURCE_AUTH_FILE`), or none. */
  readonly openedBy: 'workload' | 'operator' | 'anybody';
}

type Attempt = Pick<CheckedSource, 'access' | 'openedBy'>;

interface CheckOptions {
  readonly budgetMs: number;
  /** There is a backup to fall back on, so a host that does not answer is not worth waiting for. */
  readonly hasBackup: boolean;
  /** Whose pull secrets may open the source. */
  readonly pod?: PullSecretRefs | undefined;
  /** A controller repeats itself, so it is told once more what was found a moment ago. @default true */
  readonly isInteractive?: boolean | undefined;
  readonly signal: AbortSignal;
}

/** Asks a source registry for one image. Throws `CloneError` `SOURCE_…`. */
export type CheckSource = (source: Reference, options: CheckOptions) => Promise<CheckedSource>;

export interface SourceDeps {
  readonly cloner: ImageCloner;
  readonly credentials: CredentialSource;
  readonly workloadSecrets?: WorkloadSecrets | undefined;
  /** Shared with whoever asks the same registries. */
  readonly breaker?: CircuitBreaker;
  readonly limits?: RateLimits;
  readonly now: () => number;
}

/**
 * The longest that a black hole upstream may cost where a backup exists, and while it is known to be one; never more than half of
 * what is left, since the backup has to be asked whether it may be used.
 */
const timeoutMs = 2_000;
const shortTimeoutMs = 250;
/** A pull secret has room for thousands that fit one image: passwords to be guessed from our address, until a registry shuts it out. */
const maxOwnAttempts = 10;
/** What is left for the answer after a limit was waited out. */
const answerMs = 1_000;
/** What a registry has said of an image, as opposed to nothing or to "later". */
const lasting: readonly RegistryReason[] = ['NOT_FOUND', 'DENIED', 'REFUSED', 'UNSUPPORTED'];

export function createCheckSource(deps: SourceDeps): CheckSource {
  const { cloner, credentials, workloadSecrets, now } = deps;
  const { breaker = createCircuitBreaker({ now }), limits = createRateLimits({ now }) } = deps;
  const failures = createNegativeCache({ now });

  return async function checkSource(source, options) {
    const { budgetMs, hasBackup, pod, isInteractive = true, signal } = options;
    const { domain } = source;
    const startedAt = now();
    const own = pod === undefined ? undefined : await readKeyring(pod, budgetMs / 2, signal);
    const attempts = await listAttempts(source, own);
    const key = toKey(source, attempts);
    const failure = failures.recall(key, isInteractive);
    if (failure !== undefined) throw failure;

    const leftMs = Math.max(0, budgetMs - (now() - startedAt));
    const ms = hasBackup ? Math.min(timeoutMs, leftMs / 2) : leftMs;
    const question: GuardedCall = {
      side: 'source',
      domain,
      image: canonicalReference(source),
      isInteractive,
      timeoutMs: ms,
      shortTimeoutMs: hasBackup ? Math.min(shortTimeoutMs, ms) : ms,
      timeoutError: (waited) =>
        new CloneError(
          'SOURCE_UNAVAILABLE',
          `${domain} did not say within ${formatSeconds(waited)} whether ${formatReference(source)} exists`,
        ),
      signal,
    };
    const limit = { domain, timeoutMs: hasBackup ? 0 : leftMs - answerMs };
    try {
      const checked = await breaker.ask(question, (within) =>
        tryAll(source, attempts, (access) =>
          limits.ask({ ...limit, access, signal: within }, () =>
            cloner.resolve(source, access, within),
          ),
        ),
      );
      failures.forget(key);
      return checked;
    } catch (error) {
      // Others may have been let in, and have seen nothing.
      if (pod !== undefined && isMemorable(error)) workloadSecrets?.forget(pod.namespace);
      const told = isFailureOf('source', error, ['DENIED'])
        ? explained(error, own?.warnings ?? [])
        : error;
      if (isMemorable(told)) failures.remember(key, told);
      throw told;
    }
  };

  /** Who cannot be read is left out, as the kubelet does: an API server that is silent must not cost the registry's time, too. */
  async function readKeyring(
    pod: PullSecretRefs,
    ms: number,
    signal: AbortSignal,
  ): Promise<WorkloadKeyring | undefined> {
    if (workloadSecrets === undefined) return undefined;
    const late = new CloneError('SOURCE_UNAVAILABLE', 'its pull secrets could not be read in time');
    try {
      return await withDeadline({ ms, error: () => late, signal }, (within) =>
        workloadSecrets.keyring(pod, within),
      );
    } catch (error) {
      if (error !== late) throw error;
      return { keyring: { find: () => [] }, warnings: [late.message] };
    }
  }

  /** Every credential that fits, as the kubelet does, and nobody's at last: wrong ones fail even for public images. */
  async function listAttempts(
    source: Reference,
    own: WorkloadKeyring | undefined,
  ): Promise<readonly Attempt[]> {
    return [
      ...(own?.keyring.find(source) ?? [])
        .slice(0, maxOwnAttempts)
        .map((own) => toAttempt(own, 'workload')),
      ...(await credentials.credentialsFor(source)).map((ours) => toAttempt(ours, 'operator')),
      toAttempt(undefined, 'anybody'),
    ];
  }
}

/** The first access that shows the image. */
async function tryAll(
  source: Reference,
  attempts: readonly Attempt[],
  resolve: (access: RegistryAccess) => Promise<ResolvedImage | undefined>,
): Promise<CheckedSource> {
  let denial: CloneError | undefined;
  let isAbsent = false;
  for (const { access, openedBy } of attempts) {
    try {
      const found = await resolve(access);
      if (found !== undefined) return { ...found, access, openedBy };
      isAbsent = true;
    } catch (error) {
      if (!isFailureOf('source', error, ['DENIED'])) throw error;
      denial ??= error;
    }
  }
  if (denial !== undefined && !isAbsent) throw denial;
  throw new CloneError(
    'SOURCE_NOT_FOUND',
    `${formatReference(source)} does not exist on ${source.domain}`,
  );
}

function toAttempt(
  credentials: Credentials | undefined,
  openedBy: CheckedSource['openedBy'],
): Attempt {
  return { access: { side: 'source', credentials }, openedBy };
}

/** Why there was nothing better to try is of interest only now: public images need no secret. */
function explained(denial: CloneError, warnings: readonly string[]): CloneError {
  if (warnings.length === 0) return denial;
  const message = [denial.message, ...warnings].join('; ');
  return new CloneError(denial.code, message, { cause: denial.cause });
}

/** Passwords stay in memory for as long as connections keep them, too. */
function toKey(source: Reference, attempts: readonly Attempt[]): string {
  const identities = attempts.map(({ access: { credentials } }) => [
    credentials?.username,
    credentials?.password,
  ]);
  return JSON.stringify([canonicalReference(source), identities]);
}

/** CircuitBreaker and limits are the registry's, and remembered as such. */
function isMemorable(error: unknown): error is CloneError {
  return isFailureOf('source', error, lasting);
}

function formatSeconds(ms: number): string {
  return `${ms < 1000 ? (ms / 1000).toFixed(2) : (ms / 1000).toFixed(0)} s`;
}
