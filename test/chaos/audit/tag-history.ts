import { setTimeout as delay } from 'node:timers/promises';
import type { Ledger } from '../ledger.ts';
import type { RegistryReader } from './registry-reader.ts';

/** Polls the backup's tags and records every digest that they held. */
export interface TagHistory {
  /**
   * Whether the tag held a complete copy of ours before that time (ms since 1970). A generation alone says nothing of the tag: a copy
   * that is pinned to a digest, or whose replica was killed, leaves one.
   */
  hadCopyBefore(repository: string, tag: string, at: number): boolean;
  /** Polls once more, and checks that every recorded digest is still there and complete. */
  finish(): Promise<void>;
}

const pollMs = 700;
const generationPattern = /\.[0-9a-f]{12}$/;

export function startTagHistory(registryReader: RegistryReader, ledger: Ledger): TagHistory {
  /** `repository tag digest` → when it was first seen. */
  const seen = new Map<string, number>();
  const stopping = new AbortController();
  const polling = poll();

  async function poll(): Promise<void> {
    while (!stopping.signal.aborted) {
      await recordTags();
      await delay(pollMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  async function recordTags(): Promise<void> {
    for (const repository of await registryReader.repositories()) {
      for (const tag of await registryReader.tags(repository)) {
        const digest = await registryReader.digest(repository, tag);
        const key = `${repository} ${tag} ${digest ?? ''}`;
        if (digest !== undefined && !seen.has(key)) seen.set(key, Date.now());
      }
    }
  }

  async function checkGeneration(repository: string, tag: string, digest: string): Promise<void> {
    const generation = toGeneration(tag, digest);
    const held = generationPattern.test(tag)
      ? [await registryReader.digest(repository, tag)]
      : [
          await registryReader.digest(repository, tag),
          await registryReader.digest(repository, generation),
        ];
    ledger.check(
      'every generation that was seen is still there',
      held.includes(digest),
      () => `${repository}:${tag} once held ${digest}, and no tag does now`,
    );
  }

  return {
    hadCopyBefore: (repository, tag, at) =>
      [...seen].some(([key, seenAt]) => {
        const [name = '', held = '', digest = ''] = key.split(' ');
        const keptAt = seen.get(`${name} ${toGeneration(tag, digest)} ${digest}`);
        return (
          name.includes(repository) &&
          held === tag &&
          seenAt < at &&
          keptAt !== undefined &&
          keptAt < at
        );
      }),
    async finish() {
      stopping.abort();
      await polling;
      await recordTags();
      for (const key of seen.keys()) {
        const [repository = '', tag = '', digest = ''] = key.split(' ');
        await checkGeneration(repository, tag, digest);
        const { problems } = await registryReader.inspect(repository, digest, 'bytes');
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

function toGeneration(tag: string, digest: string): string {
  return `${tag}.${digest.slice('sha256:'.length, 'sha256:'.length + 12)}`;
}
