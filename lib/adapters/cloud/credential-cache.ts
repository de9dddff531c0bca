import { CloneError, describeRegistry, registryCode, type Side } from '../../errors.ts';
import type { Credentials, Logger, WaitLimit } from '../../ports/index.ts';
import { untilAborted, withDeadline } from '../../util/abort.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';
import { createSingleFlight } from '../../util/single-flight.ts';
import { IdentityError } from './identity-error.ts';

/** Credentials that the identity of a cloud got. */
export interface IssuedCredentials {
  readonly credentials: Credentials;
  readonly lifetimeMs: number;
}

/** Gets credentials for the registry at `domain`. Rejects with `IdentityError`. */
export type IssueCredentials = (domain: string, signal: AbortSignal) => Promise<IssuedCredentials>;

/** Keeps credentials until shortly before they end. Concurrent callers share one request. */
export interface CredentialCache {
  /** Rejects with a `CloneError` of `side` that names the problem of the identity. */
  get(domain: string, side: Side, within: WaitLimit): Promise<Credentials>;
  /**
   * Newer credentials after a registry refused some; `undefined` if those are new, because then the identity lacks a
   * permission.
   */
  renew(
    domain: string,
    refused: Credentials,
    signal: AbortSignal,
  ): Promise<Credentials | undefined>;
}

export interface CredentialCacheOptions {
  readonly issue: IssueCredentials;
  /** Registries with the same key share credentials. */
  readonly keyOf: (domain: string) => string;
  readonly logger: Logger;
  /** A monotonic clock. */
  readonly now: () => number;
}

interface Entry {
  readonly credentials: Credentials;
  readonly issuedAt: number;
  readonly renewAt: number;
  readonly endsAt: number;
}

const maxEntries = 100;
/** The vendors' libraries have timeouts of minutes. */
const requestTimeoutMs = 20_000;
/** Callers in this time get the last failure, so that a broken identity costs few requests. */
const failureMs = 2_000;
/** A registry that refuses younger credentials refuses the identity. */
const minAgeMs = 60_000;
/** The part of the lifetime after which the credentials are renewed while they are still in use. */
const renewalFraction = 0.75;
const maxSpareMs = 60_000;

export function createCredentialCache(options: CredentialCacheOptions): CredentialCache {
  const { issue, keyOf, logger, now } = options;
  const entries = createBoundedMap<string, Entry>(maxEntries);
  const failures = createBoundedMap<
    string,
    { readonly error: IdentityError; readonly until: number }
  >(maxEntries);
  const requests = createSingleFlight<Credentials>();

  /** Shared by its callers, so it ignores their signals. */
  function request(domain: string): Promise<Credentials> {
    const key = keyOf(domain);
    return requests.run(key, async () => {
      const signal = AbortSignal.timeout(requestTimeoutMs);
      const issuedAt = now();
      try {
        const { credentials, lifetimeMs } = await untilAborted(issue(domain, signal), signal);
        entries.set(key, {
          credentials,
          issuedAt,
          renewAt: issuedAt + lifetimeMs * renewalFraction,
          endsAt: issuedAt + lifetimeMs - Math.min(maxSpareMs, lifetimeMs / 10),
        });
        failures.delete(key);
        return credentials;
      } catch (failure) {
        const error = signal.aborted ? late() : failure;
        if (error instanceof IdentityError) failures.set(key, { error, until: now() + failureMs });
        throw error;
      }
    });
  }

  function recentFailure(key: string): IdentityError | undefined {
    const failure = failures.get(key);
    return failure !== undefined && now() < failure.until ? failure.error : undefined;
  }

  /** The credentials in use are valid, so that a failure only concerns the log. */
  function renewLater(domain: string): void {
    const key = keyOf(domain);
    if (requests.pending(key) !== undefined || recentFailure(key) !== undefined) return;
    request(domain).catch((error: unknown) => warn(domain, error));
  }

  function warn(registry: string, error: unknown): void {
    logger.warn({ registry, err: error }, 'credentials of the cloud identity cannot be renewed');
  }

  return {
    async get(domain, side, { ms, signal }) {
      const key = keyOf(domain);
      const entry = entries.get(key);
      if (entry !== undefined && now() < entry.endsAt) {
        if (now() >= entry.renewAt) renewLater(domain);
        return entry.credentials;
      }
      try {
        const failure = recentFailure(key);
        if (failure !== undefined) throw failure;
        return await withDeadline({ ms, error: late, signal }, () => request(domain));
      } catch (error) {
        throw error instanceof IdentityError ? toCloneError(error, side, domain) : error;
      }
    },

    async renew(domain, refused, signal) {
      const key = keyOf(domain);
      const entry = entries.get(key);
      if (entry !== undefined && entry.credentials.password !== refused.password) {
        return entry.credentials;
      }
      if (entry !== undefined && now() - entry.issuedAt < minAgeMs) return undefined;
      if (recentFailure(key) !== undefined) return undefined;
      entries.delete(key);
      try {
        const renewed = await untilAborted(request(domain), signal);
        return renewed.password === refused.password ? undefined : renewed;
      } catch (error) {
        signal.throwIfAborted();
        warn(domain, error);
        return undefined;
      }
    },
  };
}

function late(): IdentityError {
  return new IdentityError('the identity service did not answer in time', { isTransient: true });
}

function toCloneError(error: IdentityError, side: Side, domain: string): CloneError {
  const { isTransient, message, cause } = error;
  return new CloneError(
    registryCode(side, isTransient ? 'UNAVAILABLE' : 'DENIED'),
    `no credentials for ${describeRegistry(side, domain)}: ${message}`,
    { cause, isTransient },
  );
}
