import { CloneError } from '../../errors.ts';
import type { Reference } from '../../image/reference.ts';
import type {
  CredentialSource,
  Credentials,
  PullSecretRefs,
  RegistryAccess,
  WorkloadKeyring,
  WorkloadSecrets,
} from '../../ports/index.ts';
import { withDeadline } from '../../util/abort.ts';

/** One way to open a source. */
export interface Attempt {
  readonly access: RegistryAccess;
  /** The workload's own pull secret, the operator's `SOURCE_AUTH_FILE`, or no credentials. */
  readonly openedBy: 'workload' | 'operator' | 'anonymous';
}

interface ListOptions {
  /** The pod whose pull secrets may open the source. */
  readonly pod: PullSecretRefs | undefined;
  /** At most half of it is spent on pull secrets, and at most half of the rest on the identity of a cloud. */
  readonly budgetMs: number;
  /** Limits the time for the identity of a cloud further. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
}

/**
 * Lists every matching credential, as the kubelet tries them, and anonymous access last: wrong credentials fail even for public images.
 * The warnings say why pull secrets are missing.
 */
export type ListAttempts = (
  source: Reference,
  options: ListOptions,
) => Promise<{
  readonly attempts: readonly Attempt[];
  readonly warnings: readonly string[];
}>;

export interface ListAttemptsDeps {
  readonly credentials: CredentialSource;
  readonly workloadSecrets: WorkloadSecrets | undefined;
  readonly now: () => number;
}

/** A pull secret can hold thousands of entries for one image; trying all of them would look like guessing passwords. */
const maxWorkloadAttempts = 10;

export function createListAttempts({
  credentials,
  workloadSecrets,
  now,
}: ListAttemptsDeps): ListAttempts {
  return async function listAttempts(source, { pod, budgetMs, limitMs, signal }) {
    const startedAt = now();
    const own = pod === undefined ? undefined : await readKeyring(pod, budgetMs / 2, signal);
    const halfMs = Math.max(0, budgetMs - (now() - startedAt)) / 2;
    const within = { ms: Math.min(limitMs, halfMs), signal };
    const workload = own?.keyring.find(source).slice(0, maxWorkloadAttempts) ?? [];
    const operator = await credentials.credentialsFor(source, within);
    const attempts = [
      ...workload.map((found) => toAttempt(found, 'workload')),
      ...operator.map((found) => toAttempt(found, 'operator')),
      toAttempt(undefined, 'anonymous'),
    ];
    return { attempts, warnings: own?.warnings ?? [] };
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
}

function toAttempt(credentials: Credentials | undefined, openedBy: Attempt['openedBy']): Attempt {
  return { access: { side: 'source', credentials }, openedBy };
}
