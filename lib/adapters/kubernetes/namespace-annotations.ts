import type { Logger, Lookup, NamespaceAnnotations, NamespaceReader } from '../../ports/index.ts';
import { untilAborted } from '../../util/abort.ts';
import { monotonicClock } from '../../util/clock.ts';
import { createTtlCache } from '../../util/ttl-cache.ts';

export interface NamespaceAnnotationsDeps {
  readonly reader: Pick<NamespaceReader, 'readAnnotations'>;
  readonly logger: Logger;
  readonly now?: () => number;
}

const maxEntries = 1_000;
const ttlMs = 5_000;
const timeoutMs = 1_000;

/** Caches the annotations of Namespaces, and logs once if RBAC does not allow reading them. */
export function createNamespaceAnnotations({
  reader,
  logger,
  now = monotonicClock.now,
}: NamespaceAnnotationsDeps): NamespaceAnnotations {
  const cache = createTtlCache<Lookup<ReadonlyMap<string, string>>>({
    ttlMs,
    isKept: ({ status }) => status !== 'unavailable',
    maxEntries,
    now,
  });
  let hasWarned = false;

  return {
    async read(namespace, signal) {
      const lookup = cache.get(namespace, () =>
        reader.readAnnotations(namespace, AbortSignal.timeout(timeoutMs)),
      );
      const answer = await untilAborted(lookup, signal);
      if (answer.status === 'forbidden' && !hasWarned) {
        hasWarned = true;
        logger.warn(
          {},
          'NAMESPACE_OVERRIDES has no effect: RBAC does not allow reading namespaces; apply knative/namespace-overrides.yaml',
        );
      }
      return answer.status === 'found' ? answer.found : undefined;
    },
  };
}
