import { formatReference } from '../image/reference.ts';
import type { CloneOutcome } from '../ports/index.ts';
import type { CloneTask } from './clone-task.ts';

/** What is to be used, and how it came to be there. */
export interface Found {
  readonly digest?: string;
  readonly result: 'present' | 'copied' | 'fallback' | 'planned';
  readonly bytes?: number;
  readonly warnings: readonly string[];
}

/** The same for the review: the name that is written into the object. */
export function toReady(
  { source, backup }: CloneTask,
  found: Found,
  durationMs: number,
  pinDigests: boolean,
): CloneOutcome {
  const { domain, path, tag } = backup;
  const { digest, result, bytes = 0 } = found;
  const wantsDigest = pinDigests || source.digest !== undefined;
  const isUnknown = wantsDigest && digest === undefined;
  const { digest: _digest, ...named } = source;
  const unknown = `dry run: the copy's digest is not known yet: ${formatReference(named)}`;
  return {
    status: 'ready',
    image: { domain, path, tag, ...(wantsDigest && digest !== undefined && { digest }) },
    result,
    bytes,
    durationMs,
    warnings: isUnknown ? [...found.warnings, unknown] : found.warnings,
  };
}
