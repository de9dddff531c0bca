import type { Repository } from '../../../image/reference.ts';
import { createBoundedMap } from '../../../util/bounded-map.ts';
import { createCooldown } from '../../../util/cooldown.ts';

/** The layers that one copy shares with others in the same registry. */
export interface LayerSharing {
  /** Another repository of the target's registry that has the blob; `undefined` if none is known, or mounts are refused. */
  donorOf(digest: string): string | undefined;
  /** Whether a blob was mounted from its donor. */
  onMount(digest: string, isMounted: boolean): void;
  /** Whether another copy is moving the blob from the same registry, so that it can be mounted soon. */
  isMoving(digest: string): boolean;
  /** Moves a blob into the target, which is then a donor if the copy shares its layers. */
  move(digest: string, work: () => Promise<void>): Promise<void>;
}

interface SharedCopy {
  /** Host of the registry that the copy reads. */
  readonly source: string;
  readonly target: Repository;
  /** Whether others may have its layers. */
  readonly mayShare: boolean;
}

/**
 * Remembers which repositories have which blobs, so that images with the same base layer move it once. A donor is learned only
 * from a copy that has moved or mounted the bytes: that a registry lists or shows a digest proves nothing. A restart forgets all.
 */
export interface SharedLayers {
  of(copy: SharedCopy): LayerSharing;
}

const maxDonors = 20_000;
/** One may be due to a donor that was pruned. */
const maxRefusals = 3;
const refusalPauseMs = 600_000;
const maxRegistries = 100;

export function createSharedLayers({ now }: { readonly now: () => number }): SharedLayers {
  /** Path by registry and digest. */
  const donors = createBoundedMap<string, string>(maxDonors);
  const refusals = createBoundedMap<string, number>(maxRegistries);
  const pauses = createCooldown({ now, maxMs: refusalPauseMs, maxKeys: maxRegistries });
  /** Sources by registry and digest. */
  const moving = new Map<string, string[]>();

  function noteRefusal(domain: string): void {
    const count = (refusals.get(domain) ?? 0) + 1;
    refusals.set(domain, count);
    if (count < maxRefusals) return;
    refusals.delete(domain);
    pauses.start(domain, refusalPauseMs);
  }

  return {
    of({ source, target: { domain, path }, mayShare }) {
      const keyOf = (digest: string): string => `${domain} ${digest}`;
      const learn = (digest: string): void => {
        if (mayShare) donors.set(keyOf(digest), path);
      };

      return {
        donorOf(digest) {
          const donor = donors.get(keyOf(digest));
          return donor === path || pauses.remainingMs(domain) > 0 ? undefined : donor;
        },
        onMount(digest, isMounted) {
          if (isMounted) {
            refusals.delete(domain);
            learn(digest);
            return;
          }
          donors.delete(keyOf(digest));
          noteRefusal(domain);
        },
        isMoving: (digest) => moving.get(keyOf(digest))?.includes(source) === true,
        async move(digest, work) {
          const key = keyOf(digest);
          if (!mayShare) return await work();
          const sources = moving.get(key) ?? [];
          moving.set(key, sources);
          sources.push(source);
          try {
            await work();
            learn(digest);
          } finally {
            sources.splice(sources.indexOf(source), 1);
            if (sources.length === 0) moving.delete(key);
          }
        },
      };
    },
  };
}
