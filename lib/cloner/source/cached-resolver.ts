import { canonicalReference } from '../../image/reference.ts';
import type { ImageCloner, ResolvedImage } from '../../ports/index.ts';
import { untilAborted } from '../../util/abort.ts';
import { setRecent } from '../../util/bounded-map.ts';

export interface ResolveCacheOptions {
  /** @default 60 seconds */
  readonly forMs?: number;
  readonly now?: () => number;
}

interface Memory {
  readonly answer: Promise<ResolvedImage | undefined>;
  readonly until: number;
}

const maxEntries = 1_000;
/** No registry is worth a longer wait; whoever waits has a deadline of his own. */
const maxQuestionMs = 30_000;

/**
 * Asks a source registry once a minute for each tag and credentials, and once for all who ask at the same time:
 * Docker Hub counts each question of a docker daemon as a pull. Failures are not remembered.
 */
export function cacheResolve(
  cloner: ImageCloner,
  { forMs = 60_000, now = Date.now }: ResolveCacheOptions = {},
): ImageCloner {
  const memories = new Map<string, Memory>();

  return {
    ...cloner,
    async resolve(image, access, signal, { isFresh = false } = {}) {
      if (access.side === 'backup') return await cloner.resolve(image, access, signal);
      const { username, password } = access.credentials ?? {};
      const key = JSON.stringify([canonicalReference(image), username, password]);
      const known = memories.get(key);
      if (known !== undefined && known.until > now() && !isFresh) {
        const found = await untilAborted(known.answer, signal);
        return found && { ...found, isRemembered: true };
      }

      const answer = cloner.resolve(image, access, AbortSignal.timeout(maxQuestionMs));
      setRecent(memories, key, { answer, until: now() + forMs }, maxEntries);
      const forget = (): void => {
        if (memories.get(key)?.answer === answer) memories.delete(key);
      };
      answer.then((found) => {
        if (found === undefined) forget();
      }, forget);
      return await untilAborted(answer, signal);
    },
  };
}
