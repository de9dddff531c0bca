import type { Published } from '../catalogue.ts';
import { hasSecret } from '../servers/namespaces.ts';
import type { RequestedImage, Write } from '../workload.ts';

/** Records which namespaces were admitted to which private tags. */
export interface PrivateAccess {
  note(write: Write): void;
  /** Whether it was admitted before that time (ms since 1970); only for an image that never changed. */
  had(namespace: string, published: Published, before: number): boolean;
}

export function createPrivateAccess(): PrivateAccess {
  const since = new Map<string, number>();
  const toKey = (namespace: string, { repository, tag }: Published): string =>
    `${namespace} ${repository}:${tag}`;
  return {
    note: ({ namespace, requestedImages, isDryRun }) => {
      for (const { published, pinned } of requestedImages) {
        // A pinned image has a separate copy.
        if (isDryRun || pinned !== undefined || published.role !== 'safe') continue;
        const key = toKey(namespace, published);
        if (!since.has(key)) since.set(key, Date.now());
      }
    },
    // Earlier digests of a tag are private to the namespaces that opened those.
    had: (namespace, published, before) =>
      published.history.length === 1 &&
      (since.get(toKey(namespace, published)) ?? Number.POSITIVE_INFINITY) < before,
  };
}

/** Whether the namespace may not use the image. */
export function isForbiddenTo(namespace: string, { published }: RequestedImage): boolean {
  return published.role === 'safe' && !hasSecret(namespace);
}
