import { canonicalReference } from '../../image/reference.ts';
import type { ImageCloner, ResolvedImage } from '../../ports/index.ts';
import { untilAborted } from '../../util/abort.ts';
import { monotonicClock } from '../../util/clock.ts';
import { createTtlCache } from '../../util/ttl-cache.ts';

export interface ResolveCacheOptions {
  readonly now?: () => number;
}

const ttlMs = 60_000;
const maxEntries = 1_000;
/** Shared by all callers, so no caller's deadline ends it. */
const requestTimeoutMs = 30_000;

/**
 * Caches what a source's tag resolves to, per tag and credentials, and shares concurrent requests:
 * Docker Hub counts each request of a docker daemon as a pull. Absent images and failures are not cached.
 */
export function cacheResolve(
  cloner: ImageCloner,
  { now = monotonicClock.now }: ResolveCacheOptions = {},
): ImageCloner {
  const cache = createTtlCache<ResolvedImage | undefined>({
    ttlMs,
    isKept: (found) => found !== undefined,
    maxEntries,
    now,
  });

  return {
    ...cloner,
    async resolve(image, access, signal, options = {}) {
      if (access.side === 'backup') return await cloner.resolve(image, access, signal, options);
      const { username, password } = access.credentials ?? {};
      const key = JSON.stringify([canonicalReference(image), username, password]);
      const load = (): Promise<ResolvedImage | undefined> =>
        cloner.resolve(image, access, AbortSignal.timeout(requestTimeoutMs));
      if (options.isFresh === true) return await untilAborted(cache.reload(key, load), signal);
      const known = cache.known(key);
      const found = await untilAborted(known ?? cache.get(key, load), signal);
      return known === undefined ? found : found && { ...found, isRemembered: true };
    },
  };
}
