import { setTimeout as delay } from 'node:timers/promises';
import type { Ledger } from '../ledger.ts';
import type { Witness } from './witness.ts';

/** Looks at the backup's tags again and again, and remembers all that they ever held. */
export interface Watch {
  /** Whether a whole copy that we made was there before that time, in milliseconds since 1970. */
  hadCopyBefore(repository: string, tag: string, at: number): boolean;
  /** One last look; everything that was ever seen must still be there, whole. */
  finish(): Promise<void>;
}

const pollMs = 700;
const generationPattern = /\.[0-9a-f]{12}$/;

export function startWatch(witness: Witness, ledger: Ledger): Watch {
  /** `repository tag digest` → when it was first seen. */
  const seen = new Map<string, number>();
  const stopping = new AbortController();
  const polling = poll();

  async function poll(): Promise<void> {
    while (!stopping.signal.aborted) {
      await look();
      await delay(pollMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  async function look(): Promise<void> {
    for (const repository of await witness.repositories()) {
      for (const tag of await witness.tags(repository)) {
        const digest = await witness.digest(repository, tag);
        const key = `${repository} ${tag} ${digest ?? ''}`;
        if (digest !== undefined && !seen.has(key)) seen.set(key, Date.now());
      }
    }
  }

  async function checkGeneration(repository: string, tag: string, digest: string): Promise<void> {
    const generation = `${tag}.${digest.slice('sha256:'.length, 'sha256:'.length + 12)}`;
    const held = generationPattern.test(tag)
      ? [await witness.digest(repository, tag)]
      : [await witness.digest(repository, tag), await witness.digest(repository, generation)];
    ledger.check(
      'no generation ever seen has vanished',
      held.includes(digest),
      () => `${repository}:${tag} once held ${digest}, and no tag does now`,
    );
  }

  return {
    hadCopyBefore: (repository, tag, at) =>
      [...seen].some(([key, seenAt]) => {
        const [name = '', held = ''] = key.split(' ');
        return (
          seenAt < at &&
          name.includes(repository) &&
          held.startsWith(`${tag}.`) &&
          generationPattern.test(held)
        );
      }),
    async finish() {
      stopping.abort();
      await polling;
      await look();
      for (const key of seen.keys()) {
        const [repository = '', tag = '', digest = ''] = key.split(' ');
        await checkGeneration(repository, tag, digest);
        const { problems } = await witness.inspect(repository, digest, 'bytes');
        ledger.check(
          'every tag in the backup resolves to a whole image',
          problems.length === 0,
          () => `${repository}:${tag}: ${problems.join('; ')}`,
        );
      }
      ledger.count('tags audited', seen.size);
    },
  };
}
