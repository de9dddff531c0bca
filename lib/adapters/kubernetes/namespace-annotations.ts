import type { Logger, Lookup, NamespaceAnnotations, NamespaceReader } from '../../ports/index.ts';
import { untilAborted } from '../../util/abort.ts';
import { monotonicClock } from '../../util/clock.ts';
import { createTtlCache } from '../../util/ttl-cache.ts';

export interface NamespaceAnnotationsDeps {
  readonly reader: Pick<NamespaceReader, 'readAnnotations'>;
  readonly logger: Logger;
  /** How long an answer is used again. @default 5 seconds */
  readonly forMs?: number;
  /** The longest that the API server is waited for. @default 1 second */
  readonly patienceMs?: number;
  readonly now?: () => number;
}

const maxEntries = 1_000;

/** Annotations of Namespaces, remembered briefly. Says once where we may not read them. */
export function createNamespaceAnnotations({
  reader,
  logger,
  forMs = 5_000,
  patienceMs = 1_000,
  now = monotonicClock.now,
}: NamespaceAnnotationsDeps): NamespaceAnnotations {
  const memory = createTtlCache<Lookup<ReadonlyMap<string, string>>>({
    ttlMs: ({ status }) => (status === 'unavailable' ? 0 : forMs),
    maxEntries,
    now,
  });
  let hasWarned = false;

  function warnOnce(): void {
    if (hasWarned) return;
    hasWarned = true;
    logger.warn(
      {},
      'NAMESPACE_OVERRIDES has no effect: namespaces may not be read, see knative/namespace-overrides.yaml',
    );
  }

  return {
    async read(namespace, signal) {
      const asked = memory.get(namespace, () =>
        reader.readAnnotations(namespace, AbortSignal.timeout(patienceMs)),
      );
      const answer = await untilAborted(asked, signal);
      if (answer.status === 'forbidden') warnOnce();
      return answer.status === 'found' ? answer.found : undefined;
    },
  };
}
