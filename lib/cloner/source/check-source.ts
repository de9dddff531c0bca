import { CloneError, isFailureOf, type RegistryReason } from '../../errors.ts';
import { canonicalReference, formatReference, type Reference } from '../../image/reference.ts';
import type {
  CredentialSource,
  Credentials,
  ImageCloner,
  PullSecretRefs,
  RegistryAccess,
  ResolvedImage,
  WaitLimit,
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

/** A source image that exists, and the access that opened it. */
export interface CheckedSource extends ResolvedImage {
  readonly access: RegistryAccess;
  /** The workload's own pull secret, the operator's `SOURCE_AUTH_FILE`, or no credentials. */
  readonly openedBy: 'workload' | 'operator' | 'anonymous';
}

type Attempt = Pick<CheckedSource, 'access' | 'openedBy'>;

interface CheckOptions {
  readonly budgetMs: number;
  /** A backup exists as a fallback, so an unresponsive host does not get the whole budget. */
  readonly hasBackup: boolean;
  /** The pod whose pull secrets may open the source. */
  readonly pod?: PullSecretRefs | undefined;
  /** Whether a recent failure is retried; `false` for a controller, which gets the remembered failure. @default true */
  readonly isInteractive?: boolean | undefined;
  readonly signal: AbortSignal;
}

/** Resolves one image at its source registry. Throws `CloneError` `SOURCE_…`. */
export type CheckSource = (source: Reference, options: CheckOptions) => Promise<CheckedSource>;

export interface SourceDeps {
  readonly cloner: ImageCloner;
  readonly credentials: CredentialSource;
  readonly workloadSecrets?: WorkloadSecrets | undefined;
  /** Shared with other callers of the same registries. */
  readonly breaker?: CircuitBreaker;
  readonly limits?: RateLimits;
  readonly now: () => number;
}

/**
 * The longest wait for an unresponsive source if a backup exists; at most half of the budget, because the backup is read
 * afterwards.
 */
const fallbackTimeoutMs = 2_000;
/** The same, while the circuit of the source is open. */
const openCircuitTimeoutMs = 250;
/** A pull secret can hold thousands of entries for one image; trying all of them would look like guessing passwords. */
const maxWorkloadAttempts = 10;
/** The time for the response after a rate limit was waited out. */
const answerMs = 1_000;
/** Failures that concern the image itself, unlike an outage or a rate limit. */
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
    const halfMs = Math.max(0, budgetMs - (now() - startedAt)) / 2;
    const ms = hasBackup ? Math.min(fallbackTimeoutMs, halfMs) : halfMs;
    const attempts = await listAttempts(source, own, { ms, signal });
    const key = toKey(source, attempts);
    const failure = failures.recall(key, isInteractive);
    if (failure !== undefined) throw failure;

    const leftMs = Math.max(0, budgetMs - (now() - startedAt));
    const timeoutMs = hasBackup ? Math.min(fallbackTimeoutMs, leftMs / 2) : leftMs;
    const call: GuardedCall = {
      side: 'source',
      domain,
      image: canonicalReference(source),
      isInteractive,
      timeoutMs,
      shortTimeoutMs: hasBackup ? Math.min(openCircuitTimeoutMs, timeoutMs) : timeoutMs,
      timeoutError: (ms) =>
        new CloneError(
          'SOURCE_UNAVAILABLE',
          `${domain} did not say within ${formatSeconds(ms)} whether ${formatReference(source)} exists`,
        ),
      signal,
    };
    const limit = { domain, timeoutMs: hasBackup ? 0 : leftMs - answerMs };
    try {
      const checked = await breaker.call(call, (within) =>
        tryAll(source, attempts, (access) =>
          limits.call({ ...limit, access, signal: within }, () =>
            cloner.resolve(source, access, within),
          ),
        ),
      );
      failures.forget(key);
      return checked;
    } catch (error) {
      // The secrets may have changed since they were read.
      if (pod !== undefined && isLasting(error)) workloadSecrets?.forget(pod.namespace);
      const explained = isFailureOf('source', error, ['DENIED'])
        ? withReasons(error, own?.warnings ?? [])
        : error;
      if (isLasting(explained)) failures.remember(key, explained);
      throw explained;
    }
  };

  /**
   * Skips secrets that cannot be read, as the kubelet does: an unresponsive API server must not use up the time for the
   * registry.
   */
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

  /** Every matching credential, as the kubelet tries them, and anonymous last: wrong credentials fail even for public images. */
  async function listAttempts(
    source: Reference,
    own: WorkloadKeyring | undefined,
    within: WaitLimit,
  ): Promise<readonly Attempt[]> {
    const workload = own?.keyring.find(source).slice(0, maxWorkloadAttempts) ?? [];
    const operator = await credentials.credentialsFor(source, within);
    return [
      ...workload.map((found) => toAttempt(found, 'workload')),
      ...operator.map((found) => toAttempt(found, 'operator')),
      toAttempt(undefined, 'anonymous'),
    ];
  }
}

/** The first access that opens the image. */
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

/** Adds why pull secrets are missing; a public image needs none, so only a denial mentions them. */
function withReasons(denial: CloneError, warnings: readonly string[]): CloneError {
  if (warnings.length === 0) return denial;
  const message = [denial.message, ...warnings].join('; ');
  return new CloneError(denial.code, message, { cause: denial.cause });
}

/** Contains passwords, as the keys of connections do. */
function toKey(source: Reference, attempts: readonly Attempt[]): string {
  const identities = attempts.map(({ access: { credentials } }) => [
    credentials?.username,
    credentials?.password,
  ]);
  return JSON.stringify([canonicalReference(source), identities]);
}

function isLasting(error: unknown): error is CloneError {
  return isFailureOf('source', error, lasting);
}

function formatSeconds(ms: number): string {
  return `${ms < 1000 ? (ms / 1000).toFixed(2) : (ms / 1000).toFixed(0)} s`;
}
