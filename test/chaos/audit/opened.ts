import type { Published } from '../catalogue.ts';
import { hasSecret } from '../tenants.ts';
import type { Wish, Write } from '../workload.ts';

/** Remembers which namespace was let in to which private image by its tag. */
export interface Opened {
  note(write: Write): void;
  /** Whether it was before that time, in milliseconds since 1970; of an image that never changed. */
  had(namespace: string, published: Published, before: number): boolean;
}

export function createOpened(): Opened {
  const since = new Map<string, number>();
  const toKey = (namespace: string, { repository, tag }: Published): string =>
    `${namespace} ${repository}:${tag}`;
  return {
    note: ({ namespace, wishes, isDryRun }) => {
      for (const { published, pinned } of wishes) {
        // What is pinned has a copy of its own.
        if (isDryRun || pinned !== undefined || published.role !== 'safe') continue;
        const key = toKey(namespace, published);
        if (!since.has(key)) since.set(key, Date.now());
      }
    },
    // What a tag held before is private to whoever opened that.
    had: (namespace, published, before) =>
      published.history.length === 1 &&
      (since.get(toKey(namespace, published)) ?? Number.POSITIVE_INFINITY) < before,
  };
}

/** Whether the namespace has no business with the image. */
export function isClosedTo(namespace: string, { published }: Wish): boolean {
  return published.role === 'safe' && !hasSecret(namespace);
}
