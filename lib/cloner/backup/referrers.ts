import { formatReference } from '../../image/reference.ts';
import type { ImageCloner, Logger, ReferrersRequest } from '../../ports/index.ts';
import { createSemaphore } from '../../util/semaphore.ts';
import type { CopyResult } from '../queue/index.ts';

/**
 * Copies signatures and attestations behind the copy of their image. They are optional: they use no slot of the copy queue, a
 * failure is one warning, and a shutdown drops them.
 */
export interface Referrers {
  /** Reads them while `copy` runs; after it, copies them behind the result, which has their warnings. */
  copyBehind(request: ReferrersRequest, copy: () => Promise<CopyResult>): Promise<CopyResult>;
  /** Copies those of an image that the backup has, because a signature may be newer. Resolves with warnings; never rejects. */
  copyAgain(request: ReferrersRequest): Promise<readonly string[]>;
}

export interface ReferrersDeps {
  readonly cloner: Pick<ImageCloner, 'findReferrers'>;
  readonly logger: Pick<Logger, 'warn'>;
  /** Aborted when the process shuts down. */
  readonly stopping: AbortSignal;
}

const maxConcurrent = 2;
/** Beyond it they are not copied: the next integrity check of the image looks for them again. */
const maxQueued = 100;
const timeoutMs = 600_000;

export function createReferrers({ cloner, logger, stopping }: ReferrersDeps): Referrers {
  const slots = createSemaphore(maxConcurrent);

  /** @param copied resolves when the image is in the backup */
  async function copy(
    request: ReferrersRequest,
    copied: Promise<unknown>,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    try {
      const [copyReferrers] = await Promise.all([cloner.findReferrers?.(request, signal), copied]);
      if (copyReferrers === undefined) return [];
      if (slots.waiting() >= maxQueued)
        throw new Error('too many images wait for their signatures');
      await slots.run(() =>
        copyReferrers(AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])),
      );
      return [];
    } catch (error) {
      if (signal.aborted) return [];
      const name = formatReference(request.source);
      logger.warn({ source: name, err: error }, 'signatures were not copied');
      return [`${name}: the image was copied, its signatures were not`];
    }
  }

  return {
    async copyBehind(request, copyImage) {
      const failed = new AbortController();
      const copied = copyImage();
      const referrers = copy(request, copied, AbortSignal.any([stopping, failed.signal]));
      try {
        return { ...(await copied), referrers };
      } catch (error) {
        failed.abort();
        throw error;
      }
    },
    copyAgain: (request) => copy(request, Promise.resolve(), stopping),
  };
}
