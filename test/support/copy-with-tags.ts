import { createReferrers } from '../../lib/cloner/backup/referrers.ts';
import type { CopiedImage, CopyRequest, ImageCloner } from '../../lib/index.ts';
import { createMemoryLog } from './memory-log.ts';

type Copied = Pick<CopiedImage, 'digest' | 'bytes' | 'warnings'>;

/** Copies an image, writes its tags, releases it and copies its signatures, as the policy does. */
export async function copyWithTags(
  cloner: ImageCloner,
  request: CopyRequest,
  tags: readonly string[],
  signal: AbortSignal = new AbortController().signal,
  onProgress: Parameters<ImageCloner['copy']>[2] = () => undefined,
): Promise<Copied> {
  async function copyImage(): Promise<Copied> {
    const copied = await cloner.copy(request, signal, onProgress);
    try {
      await copied.writeTags(tags, signal);
      const { digest, bytes, warnings } = copied;
      return { digest, bytes, warnings };
    } finally {
      await copied.release();
    }
  }
  if (request.sourceAccess.side === 'backup') return await copyImage();
  const { logger } = createMemoryLog();
  const behind = createReferrers({ cloner, logger, stopping: signal, now: () => 0 });
  const { digest, bytes, warnings, referrers } = await behind.copyBehind(
    request,
    undefined,
    copyImage,
  );
  return { digest, bytes, warnings: [...warnings, ...((await referrers) ?? [])] };
}
