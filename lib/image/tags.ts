import { createHash } from 'node:crypto';

// A tag has at most 128 characters; the longest mark we append is ".from." and 12 hex digits.
const maxStemLength = 109;
const hexLength = 12;

/** The tag for a source named by digest alone. Unlike a referrers tag or cosign's (`sha256-<hex>…`), it has a dot. */
export function digestTag(digest: string): string {
  return toStem(digest.replace(':', '.'));
}

/**
 * The immutable tag that keeps one generation of `tag` reachable after `tag` has moved on.
 * Believed only where it holds the very digest that it names.
 */
export function generationTag(tag: string, digest: string): string {
  return `${toStem(tag)}.${shortHex(digest)}`;
}

/**
 * Says from which source digest a copy with another digest was made (a docker daemon rewrites manifests).
 * Believed only where it holds what the copy holds.
 */
export function provenanceTag(tag: string, sourceDigest: string): string {
  return `${toStem(tag)}.from.${shortHex(sourceDigest)}`;
}

/** Whether `tag` itself is the generation tag, of some shorter tag, for what it holds. */
export function isGenerationTag(tag: string, digest: string): boolean {
  return tag.endsWith(`.${shortHex(digest)}`);
}

function toStem(tag: string): string {
  if (tag.length <= maxStemLength) return tag;
  const hash = createHash('sha256').update(tag).digest('hex').slice(0, hexLength);
  return `${tag.slice(0, maxStemLength - hexLength - 1)}-${hash}`;
}

function shortHex(digest: string): string {
  const hex = digest.slice(digest.indexOf(':') + 1);
  return hex.slice(0, hexLength);
}
