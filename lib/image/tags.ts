import { createHash } from 'node:crypto';

// A tag has at most 128 characters; the longest mark we append is ".from." and 12 hex digits.
const maxTagLength = 128;
const maxStemLength = 109;
/** `.moved.`, a time of 16 characters, a dot and 12 hex digits are longer. */
const maxMoveStemLength = 92;
const hexLength = 12;
/** What only we write (holds, moves, marks of private copies), and what the names of its look-alikes are made into. */
const ownTag =
  /(\.hold|\.moved\.\d{8}T\d{6}Z\.[0-9a-f]{12}|^private\.[0-9a-f]{32}(\.[0-9a-f]{32})?)(-[0-9a-f]{12})*$/;
const maxTime = Date.UTC(9999, 11, 31);

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

/** While it holds a digest, the tag stays at that digest, whatever its source does: a person has rolled it back. */
export function holdTag(tag: string): string {
  return `${toStem(tag)}.hold`;
}

/**
 * Says when `tag` moved on, to what this one holds, and which digest it held until then: the order in which generations came,
 * without a record that several writers would have to share.
 */
export function moveTag(tag: string, { at, from }: { at: number; from: string }): string {
  return `${toStem(tag, maxMoveStemLength)}.moved.${toTimeText(at)}.${shortHex(from)}`;
}

/** What the name of a tag says about another tag; whether it may be believed, what the tag holds decides. */
export type TagRole =
  | { readonly kind: 'plain' | 'hold' }
  | { readonly kind: 'generation' | 'provenance'; readonly hex: string }
  /** `at`: milliseconds since 1970; `from`: the first hex digits of the digest that was there before. */
  | { readonly kind: 'move'; readonly at: number; readonly from: string };

/** The role of `tag` in the life of `of`; `undefined` where it has none. */
export function roleOf(tag: string, of: string): TagRole | undefined {
  if (tag === of) return { kind: 'plain' };
  if (tag === holdTag(of)) return { kind: 'hold' };
  const [, hex] = /^\.([0-9a-f]{12})$/.exec(restOf(tag, toStem(of))) ?? [];
  if (hex !== undefined) return { kind: 'generation', hex };
  const [, source] = /^\.from\.([0-9a-f]{12})$/.exec(restOf(tag, toStem(of))) ?? [];
  if (source !== undefined) return { kind: 'provenance', hex: source };
  const [, time = '', from = ''] =
    /^\.moved\.(\d{8}T\d{6}Z)\.([0-9a-f]{12})$/.exec(restOf(tag, toStem(of, maxMoveStemLength))) ??
    [];
  const at = parseTimeText(time);
  return at === undefined ? undefined : { kind: 'move', at, from };
}

/**
 * A tag for a copy that no tag of our own making is mistaken for. Whoever owns a source may call a tag `1.27.hold`; its copy
 * must not hold back ours of `1.27`. What is altered ends so that nothing else does: no two tags become one.
 */
export function copyTag(tag: string): string {
  if (!ownTag.test(tag)) return tag;
  const hash = createHash('sha256').update(tag).digest('hex').slice(0, hexLength);
  const room = maxTagLength - hexLength - 1;
  return `${tag.length <= room ? tag : `${tag.slice(0, room - '.hold'.length)}.hold`}-${hash}`;
}

/** Whether `tag` itself is the generation tag, of some shorter tag, for what it holds. */
export function isGenerationTag(tag: string, digest: string): boolean {
  return tag.endsWith(`.${shortHex(digest)}`);
}

function toStem(tag: string, maxLength = maxStemLength): string {
  if (tag.length <= maxLength) return tag;
  const hash = createHash('sha256').update(tag).digest('hex').slice(0, hexLength);
  return `${tag.slice(0, maxLength - hexLength - 1)}-${hash}`;
}

function restOf(tag: string, stem: string): string {
  return tag.startsWith(stem) ? tag.slice(stem.length) : '';
}

/** `20261125T033408Z`: what a tag may hold of ISO 8601, to the second. No clock is so wrong that there is no tag for it. */
function toTimeText(at: number): string {
  return new Date(Math.min(Math.max(at, 0), maxTime)).toISOString().replaceAll(/[-:]|\.\d+/g, '');
}

function parseTimeText(text: string): number | undefined {
  const iso = text.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z');
  const at = Date.parse(iso);
  return Number.isNaN(at) ? undefined : at;
}

/** The hex digits of a digest that tags are made of. */
export function shortHex(digest: string): string {
  const hex = digest.slice(digest.indexOf(':') + 1);
  return hex.slice(0, hexLength);
}
