import type { LeaseAnswer, LeaseStore, StoredLease } from '../../lib/index.ts';

/** A `LeaseStore` in memory, shared by the replicas of a test. */
export interface MemoryLeases {
  readonly store: LeaseStore;
  /** Answers each request with `status`; `undefined` ends that. */
  answer(status: 'forbidden' | 'unavailable' | undefined): void;
  /** Does the next write, but answers `unavailable`. */
  loseNextAnswer(): void;
  /** Blocks replacements until the returned function is called. */
  holdReplacements(): () => void;
  /** Writes a lease without a request, as another client does. */
  put(lease: StoredLease): void;
  delete(target: string): void;
  at(target: string): StoredLease | undefined;
  targets(): readonly string[];
  /** `list`, `create a/b:1`, …, in the order of arrival. */
  readonly requests: readonly string[];
}

export function createMemoryLeases(): MemoryLeases {
  const leases = new Map<string, StoredLease>();
  const requests: string[] = [];
  let revision = 0;
  let refusal: 'forbidden' | 'unavailable' | undefined;
  let losesAnswer = false;
  let gate: Promise<void> = Promise.resolve();

  async function handle<Found>(
    request: string,
    signal: AbortSignal,
    work: () => LeaseAnswer<Found>,
  ): Promise<LeaseAnswer<Found>> {
    requests.push(request);
    await Promise.resolve();
    if (signal.aborted) return { status: 'unavailable' };
    if (refusal !== undefined) return { status: refusal };
    const done = work();
    if (!losesAnswer || request === 'list') return done;
    losesAnswer = false;
    return { status: 'unavailable' };
  }

  function write(lease: Omit<StoredLease, 'version'>): LeaseAnswer<string> {
    revision += 1;
    const version = String(revision);
    leases.set(lease.target, { ...lease, version });
    return { status: 'done', found: version };
  }

  const store: LeaseStore = {
    list: (signal) =>
      handle('list', signal, () => ({ status: 'done', found: [...leases.values()] })),
    create: (lease, signal) =>
      handle(`create ${lease.target}`, signal, () =>
        leases.has(lease.target) ? { status: 'conflict' } : write(lease),
      ),
    replace: (lease, version, signal) =>
      gate.then(() =>
        handle(`replace ${lease.target}`, signal, () =>
          leases.get(lease.target)?.version === version ? write(lease) : { status: 'conflict' },
        ),
      ),
    remove: ({ target, version }, signal) =>
      handle(`remove ${target}`, signal, () => {
        const known = leases.get(target);
        if (known !== undefined && known.version !== version) return { status: 'conflict' };
        leases.delete(target);
        return { status: 'done', found: undefined };
      }),
  };

  return {
    store,
    requests,
    answer: (status) => {
      refusal = status;
    },
    loseNextAnswer: () => {
      losesAnswer = true;
    },
    holdReplacements: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      return resolve;
    },
    put: (lease) => leases.set(lease.target, lease),
    delete: (target) => leases.delete(target),
    at: (target) => leases.get(target),
    targets: () => [...leases.keys()],
  };
}
