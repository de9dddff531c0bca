import { CloneError, isFailureOf, type RegistryReason } from '../../errors.ts';
import { canonicalReference, formatReference, type Reference } from '../../image/reference.ts';
import type {
  CredentialSource,
  ImageCloner,
  PullSecretRefs,
  RegistryAccess,
  ResolvedImage,
  WorkloadSecrets,
} from '../../ports/index.ts';
import {
  type CircuitBreaker,
  createCircuitBreaker,
  createNegativeCache,
  createRateLimits,
  type GuardedCall,
  type RateLimits,
} from '../registry-health/index.ts';
import { askEarly, type EarlyQuestion } from './ask-early.ts';
import { type Attempt, createListAttempts } from './list-attempts.ts';

/** A source image that exists, and the access that opened it. */
export interface CheckedSource extends ResolvedImage, Attempt {}

interface CheckOptions {
  readonly budgetMs: number;
  /**
   * Whether a backup exists as a fallback, so that an unresponsive host does not get the whole budget. Until a promise of it
   * resolves, the source is asked too, unless it is known to fail.
   */
  readonly hasBackup: boolean | Promise<boolean>;
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
/** The time for the response after a rate limit was waited out. */
const answerMs = 1_000;
/** Failures that concern the image itself, unlike an outage or a rate limit. */
const lasting: readonly RegistryReason[] = ['NOT_FOUND', 'DENIED', 'REFUSED', 'UNSUPPORTED'];

export function createCheckSource(deps: SourceDeps): CheckSource {
  const { cloner, credentials, workloadSecrets, now } = deps;
  const { breaker = createCircuitBreaker({ now }), limits = createRateLimits({ now }) } = deps;
  const failures = createNegativeCache({ now });
  const listAttempts = createListAttempts({ credentials, workloadSecrets, now });

  return async function checkSource(source, options) {
    const startedAt = now();
    const leftMs = (): number => Math.max(0, options.budgetMs - (now() - startedAt));
    const { hasBackup } = options;
    if (typeof hasBackup === 'boolean') return await check(source, { ...options, hasBackup });
    const early = askEarly(cloner, source, (signal) =>
      chooseAccess(source, { ...options, signal: AbortSignal.any([options.signal, signal]) }),
    );
    try {
      const known = { ...options, hasBackup: await hasBackup, budgetMs: leftMs() };
      return await check(source, known, early);
    } finally {
      early.end();
    }
  };

  /** The first access that `check` will try; `undefined` if the time for the answer depends on whether there is a backup. */
  async function chooseAccess(
    source: Reference,
    { budgetMs, pod, isInteractive = true, signal }: Omit<CheckOptions, 'hasBackup'>,
  ): Promise<RegistryAccess | undefined> {
    const limitMs = fallbackTimeoutMs;
    const { attempts } = await listAttempts(source, { pod, budgetMs, limitMs, signal });
    const access = attempts[0]?.access;
    const { domain } = source;
    const isKnownToFail =
      access === undefined ||
      failures.recall(toKey(source, attempts), isInteractive) !== undefined ||
      breaker.isOpen({ side: 'source', domain }) ||
      limits.isLimited({ domain, access });
    return isKnownToFail ? undefined : access;
  }

  async function check(
    source: Reference,
    options: CheckOptions & { readonly hasBackup: boolean },
    early?: EarlyQuestion,
  ): Promise<CheckedSource> {
    const { budgetMs, hasBackup, pod, isInteractive = true, signal } = options;
    const { domain } = source;
    const startedAt = now();
    const limitMs = hasBackup ? fallbackTimeoutMs : budgetMs;
    const { attempts, warnings } = await listAttempts(source, { pod, budgetMs, limitMs, signal });
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
          limits.call(
            { ...limit, access, signal: within },
            () => early?.take(access, within) ?? cloner.resolve(source, access, within),
          ),
        ),
      );
      failures.forget(key);
      return checked;
    } catch (error) {
      // The secrets may have changed since they were read.
      if (pod !== undefined && isLasting(error)) workloadSecrets?.forget(pod.namespace);
      const explained = isFailureOf('source', error, ['DENIED'])
        ? withReasons(error, warnings)
        : error;
      if (isLasting(explained)) failures.remember(key, explained);
      throw explained;
    }
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
    `${formatReference(withTag(source))} does not exist on ${source.domain}`,
  );
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

/** Often only `latest` is missing, which the workload does not name. */
function withTag(source: Reference): Reference {
  const { tag, digest } = source;
  return tag === undefined && digest === undefined ? { ...source, tag: 'latest' } : source;
}
