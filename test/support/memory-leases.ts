import type { LeaseAnswer, LeaseStore, StoredLease } from '../../lib/index.ts';

/** Leases in memory, for as many replicas as a test has. */
export interface MemoryLeases {
  readonly store: LeaseStore;
  /** Every question is answered with this until it is told otherwise by `undefined`. */
  answer(status: 'forbidden' | 'unavailable' | undefined): void;
  /** The next write is done, and its writer does not hear of it. */
  loseNextAnswer(): void;
  /** Replacements wait until the function that is returned is called. */
  holdReplacements(): () => void;
  /** As somebody else would: a person, or another replica. */
  put(lease: StoredLease): void;
  delete(target: string): void;
  at(target: string): StoredLease | undefined;
  targets(): readonly string[];
  /** `create a/b:1`, in the order of their arrival; lists are `list`. */
  readonly asked: readonly string[];
}

export function createMemoryLeases(): MemoryLeases {
  const leases = new Map<string, StoredLease>();
  const asked: string[] = [];
  let revision = 0;
  let refusal: 'forbidden' | 'unavailable' | undefined;
  let losesAnswer = false;
  let gate: Promise<void> = Promise.resolve();

  async function answer<Found>(
    question: string,
    signal: AbortSignal,
    work: () => LeaseAnswer<Found>,
  ): Promise<LeaseAnswer<Found>> {
    asked.push(question);
    await Promise.resolve();
    if (signal.aborted) return { status: 'unavailable' };
    if (refusal !== undefined) return { status: refusal };
    const done = work();
    if (!losesAnswer || question === 'list') return done;
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
      answer('list', signal, () => ({ status: 'done', found: [...leases.values()] })),
    create: (lease, signal) =>
      answer(`create ${lease.target}`, signal, () =>
        leases.has(lease.target) ? { status: 'conflict' } : write(lease),
      ),
    replace: (lease, version, signal) =>
      gate.then(() =>
        answer(`replace ${lease.target}`, signal, () =>
          leases.get(lease.target)?.version === version ? write(lease) : { status: 'conflict' },
        ),
      ),
    remove: ({ target, version }, signal) =>
      answer(`remove ${target}`, signal, () => {
        const known = leases.get(target);
        if (known !== undefined && known.version !== version) return { status: 'conflict' };
        leases.delete(target);
        return { status: 'done', found: undefined };
      }),
  };

  return {
    store,
    asked,
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
