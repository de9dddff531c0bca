import type { CopiedImage, CopyRequest, ImageCloner } from '../../lib/index.ts';

/** Copies an image, writes its tags and releases it, as the policy does. */
export async function copyWithTags(
  cloner: ImageCloner,
  request: CopyRequest,
  tags: readonly string[],
  signal: AbortSignal = new AbortController().signal,
  onProgress: Parameters<ImageCloner['copy']>[2] = () => undefined,
): Promise<Pick<CopiedImage, 'digest' | 'bytes' | 'warnings'>> {
  const copied = await cloner.copy(request, signal, onProgress);
  try {
    await copied.writeTags(tags, signal);
    const isFromSource = request.sourceAccess.side === 'source';
    const referrerWarnings = isFromSource ? await copied.copyReferrers(signal) : [];
    const { digest, bytes, warnings } = copied;
    return { digest, bytes, warnings: [...warnings, ...referrerWarnings] };
  } finally {
    await copied.release();
  }
}
