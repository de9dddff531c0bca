import type { Reference } from '../../image/reference.ts';
import type { ImageCloner, RegistryAccess, ResolvedImage } from '../../ports/index.ts';
import { untilAborted } from '../../util/abort.ts';

type Answer = ResolvedImage | undefined;

/** A question to the source that begins while the backup is still being read. */
export interface EarlyQuestion {
  /** The answer for `access`, once, because a repetition needs another request. `undefined` if the question was not asked with it. */
  take(access: RegistryAccess, signal: AbortSignal): Promise<Answer> | undefined;
  /** Ends the question. */
  end(): void;
}

/** Made once: an error with its stack costs more than the rest of a call. */
const notNeeded = new Error('the question was answered, or asked in another way');

/** @param choose the access to ask with; `undefined` if the question should wait for the backup */
export function askEarly(
  cloner: Pick<ImageCloner, 'resolve'>,
  source: Reference,
  choose: (signal: AbortSignal) => Promise<RegistryAccess | undefined>,
): EarlyQuestion {
  const ended = new AbortController();
  let asked: { readonly access: RegistryAccess; readonly answer: Promise<Answer> } | undefined;

  async function ask(): Promise<void> {
    const access = await choose(ended.signal);
    if (access === undefined || ended.signal.aborted) return;
    asked = { access, answer: cloner.resolve(source, access, ended.signal) };
    await asked.answer;
  }

  // A failure is that of `take`, or the question is asked again.
  ask().catch(() => undefined);

  return {
    take(access, signal) {
      const early = asked;
      asked = undefined;
      if (early !== undefined && isSame(early.access, access)) {
        return untilAborted(early.answer, signal);
      }
      ended.abort(notNeeded);
      return undefined;
    },
    end: () => ended.abort(notNeeded),
  };
}

function isSame(one: RegistryAccess, other: RegistryAccess): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
