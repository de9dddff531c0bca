import type { LeaseAnswer, LeaseStore, Logger } from '../../ports/index.ts';
import type { Clock } from '../../util/clock.ts';

export interface LeaseBreakerDeps {
  /** Called at the first request, because the Kubernetes SDK loads slowly. */
  readonly open: () => Promise<LeaseStore>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Shorter than the lease period. */
const unavailablePauseMs = 5_000;
/** Permissions change rarely. */
const forbiddenPauseMs = 60_000;

type Refusal = Exclude<LeaseAnswer<unknown>['status'], 'done' | 'conflict'>;

const messages = {
  done: 'copies are shared with the other replicas by Leases',
  forbidden:
    'Leases of coordination.k8s.io are forbidden in this namespace: each replica makes its own copies',
  unavailable:
    'the API server does not answer Lease requests: replicas copy without Leases, at worst the same image twice',
} as const;

/** Skips the API server for a while after a failure or a refusal, and logs each change of that state once. */
export function createLeaseBreaker({ open, clock, logger }: LeaseBreakerDeps): LeaseStore {
  let opened: Promise<LeaseStore | undefined> | undefined;
  let refusal: { readonly status: Refusal; readonly until: number } | undefined;
  let lastLogged: keyof typeof messages | 'closed' | undefined;

  async function call<Found>(
    signal: AbortSignal,
    request: (store: LeaseStore) => Promise<LeaseAnswer<Found>>,
  ): Promise<LeaseAnswer<Found>> {
    if (refusal !== undefined && clock.now() < refusal.until) return { status: refusal.status };
    opened ??= openOnce();
    const store = await opened;
    if (store === undefined) return { status: 'forbidden' };
    const answer = await request(store);
    // An aborted call proves nothing about the API server.
    if (!signal.aborted) note(answer.status);
    return answer;
  }

  async function openOnce(): Promise<LeaseStore | undefined> {
    try {
      return await open();
    } catch (error) {
      const problem = error instanceof Error ? error.message : 'unknown';
      if (lastLogged !== 'closed') {
        logger.warn({ problem }, 'Leases cannot be used: each replica makes its own copies');
      }
      lastLogged = 'closed';
      // The cause may be temporary, such as a lack of file descriptors.
      refusal = { status: 'forbidden', until: clock.now() + forbiddenPauseMs };
      opened = undefined;
      return undefined;
    }
  }

  function note(status: LeaseAnswer<unknown>['status']): void {
    if (status === 'done' || status === 'conflict') {
      refusal = undefined;
      logOnce('done');
      return;
    }
    const pauseMs = status === 'forbidden' ? forbiddenPauseMs : unavailablePauseMs;
    refusal = { status, until: clock.now() + pauseMs };
    logOnce(status);
  }

  function logOnce(what: keyof typeof messages): void {
    if (what === lastLogged) return;
    lastLogged = what;
    if (what === 'done') logger.info({}, messages[what]);
    else logger.warn({}, messages[what]);
  }

  return {
    list: (signal) => call(signal, (store) => store.list(signal)),
    create: (lease, signal) => call(signal, (store) => store.create(lease, signal)),
    replace: (lease, version, signal) =>
      call(signal, (store) => store.replace(lease, version, signal)),
    remove: (lease, signal) => call(signal, (store) => store.remove(lease, signal)),
  };
}
