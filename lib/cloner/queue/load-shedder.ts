import { CloneError } from '../../errors.ts';

/** Everybody who has images looked for at this moment. */
export interface LoadShedder {
  /**
   * Runs `work` among the others. Where there are too many, the latest of the namespace that has the most is sent away for this one, and
   * whoever has the most himself is not let in: both with `CloneError` `LINE_FULL`.
   */
  run<Result>(
    namespace: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result>;
}

/**
 * Each costs connections and some 150 KiB for as long as a registry keeps silent, and whoever writes a manifest chooses the registry,
 * two hundred of them for one object. A pod of ours has 512 MiB.
 */
const maxLookedFor = 1_000;
const retryAfterMs = 2_000;

export function createLoadShedder(max = maxLookedFor): LoadShedder {
  const members = new Map<string, Set<AbortController>>();
  let size = 0;

  function leave(namespace: string, member: AbortController): void {
    const own = members.get(namespace);
    if (own?.delete(member) !== true) return;
    size -= 1;
    if (own.size === 0) members.delete(namespace);
  }

  function makeRoom(namespace: string): void {
    const mine = members.get(namespace)?.size ?? 0;
    const [largest = ['', new Set()] as const] = [...members].toSorted(
      ([, a], [, b]) => b.size - a.size,
    );
    const [most, others] = largest;
    const last = [...others].at(-1);
    if (last === undefined || others.size <= mine + 1) throw toFull(namespace, mine);
    const reason = toFull(most, others.size);
    leave(most, last);
    last.abort(reason);
  }

  function toFull(namespace: string, count: number): CloneError {
    const message = `${max} images are looked for at this moment, ${count} of them for namespace ${namespace}`;
    return new CloneError('LINE_FULL', message, { retryAfterMs });
  }

  return {
    async run(namespace, signal, work) {
      if (size >= max) makeRoom(namespace);
      const member = new AbortController();
      const own = members.get(namespace) ?? new Set();
      members.set(namespace, own.add(member));
      size += 1;
      try {
        return await work(AbortSignal.any([signal, member.signal]));
      } finally {
        leave(namespace, member);
      }
    },
  };
}
