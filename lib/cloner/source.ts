import { CloneError } from '../errors.ts';
import { formatReference, type Reference } from '../image/reference.ts';
import type {
  CredentialSource,
  Credentials,
  ImageCloner,
  PullSecretRefs,
  RegistryAccess,
  ResolvedImage,
  WorkloadSecrets,
} from '../ports.ts';
import { withDeadline } from './deadline.ts';

/** A source image that exists now, and the access that showed it. */
export interface CheckedSource extends ResolvedImage {
  readonly access: RegistryAccess;
  /** Whose credentials they were: the workload's own pull secret, ours (`SOURCE_AUTH_FILE`), or none. */
  readonly openedBy: 'workload' | 'operator' | 'anybody';
}

interface CheckOptions {
  readonly budgetMs: number;
  /** There is a backup to fall back on, so a host that does not answer is not worth waiting for. */
  readonly hasBackup: boolean;
  /** Whose pull secrets may open the source. */
  readonly pod?: PullSecretRefs | undefined;
  readonly signal: AbortSignal;
}

/** Asks a source registry for one image. Throws `CloneError` `SOURCE_…`. */
export type CheckSource = (source: Reference, options: CheckOptions) => Promise<CheckedSource>;

export interface SourceDeps {
  readonly cloner: ImageCloner;
  readonly credentials: CredentialSource;
  readonly workloadSecrets?: WorkloadSecrets | undefined;
  readonly now: () => number;
}

/** The longest that a black hole upstream may cost where a backup exists. */
const patienceMs = 2_000;
const shortPatienceMs = 250;
/** How long a host that did not answer, or answered 429, is given the short patience. */
const suspicionMs = 30_000;
const maxSuspects = 1_000;

export function createSourceCheck({
  cloner,
  credentials,
  workloadSecrets,
  now,
}: SourceDeps): CheckSource {
  const suspectUntil = new Map<string, number>();

  return async function checkSource(source, { budgetMs, hasBackup, pod, signal }) {
    const { domain } = source;
    const isSuspect = (suspectUntil.get(domain) ?? 0) > now();
    const patience = isSuspect ? shortPatienceMs : patienceMs;
    const ms = hasBackup ? Math.min(patience, budgetMs) : budgetMs;
    const error = (): CloneError =>
      new CloneError(
        'SOURCE_UNAVAILABLE',
        `${domain} did not say within ${formatSeconds(ms)} whether ${formatReference(source)} exists`,
      );
    try {
      const checked = await withDeadline({ ms, error, signal }, (within) =>
        tryAll(source, pod, within),
      );
      suspectUntil.delete(domain);
      return checked;
    } catch (failure) {
      if (isOutage(failure)) suspect(domain);
      throw failure;
    }
  };

  /** Every credential that fits, as the kubelet does, and nobody's at last: wrong ones fail even for public images. */
  async function tryAll(
    source: Reference,
    pod: PullSecretRefs | undefined,
    signal: AbortSignal,
  ): Promise<CheckedSource> {
    const own = pod === undefined ? undefined : await workloadSecrets?.keyring(pod, signal);
    const attempts = [
      ...(own?.keyring.find(source) ?? []).map((own) => toAttempt(own, 'workload')),
      ...(await credentials.credentialsFor(source)).map((ours) => toAttempt(ours, 'operator')),
      toAttempt(undefined, 'anybody'),
    ];
    let denial: CloneError | undefined;
    let isAbsent = false;
    for (const { access, openedBy } of attempts) {
      try {
        const found = await cloner.resolve(source, access, signal);
        if (found !== undefined) return { ...found, access, openedBy };
        isAbsent = true;
      } catch (error) {
        if (!(error instanceof CloneError) || error.code !== 'SOURCE_DENIED') throw error;
        denial ??= error;
      }
    }
    if (denial !== undefined && pod !== undefined) workloadSecrets?.forget(pod.namespace);
    if (denial !== undefined && !isAbsent) throw explained(denial, own?.warnings ?? []);
    throw new CloneError(
      'SOURCE_NOT_FOUND',
      `${formatReference(source)} does not exist on ${source.domain}`,
    );
  }

  function suspect(domain: string): void {
    suspectUntil.delete(domain);
    suspectUntil.set(domain, now() + suspicionMs);
    // Hosts are invented by whoever writes a manifest: the oldest is forgotten.
    const [oldest] = suspectUntil.keys();
    if (suspectUntil.size > maxSuspects && oldest !== undefined) suspectUntil.delete(oldest);
  }
}

function toAttempt(
  credentials: Credentials | undefined,
  openedBy: CheckedSource['openedBy'],
): Pick<CheckedSource, 'access' | 'openedBy'> {
  return { access: { side: 'source', credentials }, openedBy };
}

/** Why there was nothing better to try is of interest only now: public images need no secret. */
function explained(denial: CloneError, warnings: readonly string[]): CloneError {
  if (warnings.length === 0) return denial;
  const message = [denial.message, ...warnings].join('; ');
  return new CloneError(denial.code, message, { cause: denial.cause });
}

function isOutage(error: unknown): boolean {
  return (
    error instanceof CloneError &&
    (error.code === 'SOURCE_UNAVAILABLE' || error.code === 'SOURCE_RATE_LIMITED')
  );
}

function formatSeconds(ms: number): string {
  return `${ms < 1000 ? (ms / 1000).toFixed(2) : (ms / 1000).toFixed(0)} s`;
}
