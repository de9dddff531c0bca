import { canonicalRepository, formatReference } from '../../image/reference.ts';
import type { ImageCloner, Logger, ReferrersRequest } from '../../ports/index.ts';
import { type CopyResult, createFairQueue } from '../queue/index.ts';

/**
 * Copies signatures and attestations behind the copy of their image, in their own queue, which is fair among namespaces. They
 * are optional: a failure is one warning, and a shutdown drops them.
 */
export interface Referrers {
  /** Reads them while `copy` runs, and copies them after it. The result of `copy` comes first; it has a promise of their warnings. */
  copyBehind(
    request: ReferrersRequest,
    namespace: string | undefined,
    copy: () => Promise<CopyResult>,
  ): Promise<CopyResult>;
  /** Copies those of an image that the backup has, because a signature may be newer. Resolves with warnings; never rejects. */
  copyAgain(request: ReferrersRequest, namespace: string | undefined): Promise<readonly string[]>;
}

export interface ReferrersDeps {
  readonly cloner: Pick<ImageCloner, 'findReferrers'>;
  readonly logger: Pick<Logger, 'warn'>;
  /** Aborted when the process shuts down. */
  readonly stopping: AbortSignal;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
}

/** If it is full, they are not copied: the next integrity check of the image looks for them again. */
const queueLimits = { maxRunning: 2, maxWaiting: 100 };
const timeoutMs = 600_000;

export function createReferrers({ cloner, logger, stopping, now }: ReferrersDeps): Referrers {
  const queue = createFairQueue({ ...queueLimits, now });

  /** @param copied resolves when the image is in the backup */
  async function copy(
    request: ReferrersRequest,
    namespace = '',
    copied: Promise<unknown>,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    try {
      const [copyReferrers] = await Promise.all([cloner.findReferrers?.(request, signal), copied]);
      if (copyReferrers === undefined) return [];
      const target = `${canonicalRepository(request.target)}@${request.source.digest}`;
      await queue.join({ target, namespace }, async (slot) => {
        const timeout = AbortSignal.timeout(timeoutMs);
        await copyReferrers(AbortSignal.any([signal, slot, timeout]));
      }).done;
      return [];
    } catch (error) {
      if (signal.aborted) return [];
      const name = formatReference(request.source);
      logger.warn({ source: name, err: error }, 'signatures were not copied');
      return [`${name}: the image was copied, its signatures were not`];
    }
  }

  return {
    async copyBehind(request, namespace, copyImage) {
      const failed = new AbortController();
      const copied = copyImage();
      const referrers = copy(
        request,
        namespace,
        copied,
        AbortSignal.any([stopping, failed.signal]),
      );
      try {
        return { ...(await copied), referrers };
      } catch (error) {
        failed.abort();
        throw error;
      }
    },
    copyAgain: (request, namespace) => copy(request, namespace, Promise.resolve(), stopping),
  };
}
