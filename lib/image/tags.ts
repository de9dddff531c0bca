import { hashText } from './digest.ts';

const maxTagLength = 128;
/** Leaves room for the longest suffix but that of a move: `.from.` and 12 hex digits. */
const maxStemLength = 109;
/** Leaves room for the suffix of a move: `.moved.`, a time of 16 characters, a dot and 12 hex digits. */
const maxMoveStemLength = 92;
const hexLength = 12;
/**
 * Holds, moves, spellings, marks of private copies, and what `copyTag` makes of source tags that look like these. Ignores case,
 * because some registries have no case in tags.
 */
const reservedTag =
  /(\.hold|\.case\.[0-9a-f]{12}|\.moved\.\d{8}T\d{6}Z\.[0-9a-f]{12}|^private\.[0-9a-f]{32}(\.[0-9a-f]{32})?)(-[0-9a-f]{12})*$/i;
const maxTime = Date.UTC(9999, 11, 31);

/** The tag for a source named by digest alone. The dot distinguishes it from a referrers tag and cosign's (`sha256-<hex>…`). */
export function digestTag(digest: string): string {
  return toStem(digest.replace(':', '.'));
}

/**
 * The immutable tag that keeps one generation of `tag` after `tag` has moved.
 * It is valid only if it points to the digest that it names.
 */
export function generationTag(tag: string, digest: string): string {
  return `${toStem(tag)}.${shortHex(digest)}`;
}

/**
 * Records what a copy with another digest than its source was made of, see `PlatformSelection`.
 * It is valid only if it points to the digest of the copy.
 */
export function provenanceTag(tag: string, origin: string): string {
  return `${toStem(tag)}.from.${shortHex(origin)}`;
}

/** While this tag points to a digest, `tag` stays at that digest although its source moves: an operator rolled it back. */
export function holdTag(tag: string): string {
  return `${toStem(tag)}.hold`;
}

/**
 * Records when `tag` moved from the digest `from` to the digest that this tag points to. The order of generations
 * therefore needs no record that several writers share.
 */
export function moveTag(tag: string, { at, from }: { at: number; from: string }): string {
  return `${toStem(tag, maxMoveStemLength)}.moved.${toTimeText(at)}.${shortHex(from)}`;
}

/** Records the spelling of `tag` in a registry whose tags have no case. */
export function caseTag(tag: string): string {
  return `${toStem(tag.toLowerCase())}.case.${hashText(tag, hexLength)}`;
}

/** Whether `name` records the spelling of `tag`, or of a tag that differs from it only in case. */
export function isCaseTag(name: string, tag: string): boolean {
  return /^\.case\.[0-9a-f]{12}$/.test(stripStem(name, toStem(tag.toLowerCase())));
}

/** The tag of the list of referrers in a registry without the referrers API (distribution-spec "Referrers Tag Schema"). */
export function referrersTag(digest: string): string {
  return digest.replace(':', '-');
}

/** cosign's tags for an image: signature, attestations, SBOM. */
export function cosignTags(digest: string): readonly string[] {
  return ['.sig', '.att', '.sbom'].map((suffix) => `${referrersTag(digest)}${suffix}`);
}

/** The role of a tag by its name; the digest that it points to decides whether the role is valid. */
export type TagRole =
  | { readonly kind: 'plain' | 'hold' }
  | { readonly kind: 'generation' | 'provenance'; readonly hex: string }
  /** `at`: milliseconds since 1970; `from`: the first hex digits of the previous digest. */
  | { readonly kind: 'move'; readonly at: number; readonly from: string };

/**
 * Parses the role that `tag` has for the tag `of`; `undefined` if it has none. `ignoresCase` is for a registry whose tags have no
 * case: Gitea lists them in lower case.
 */
export function parseTagRole(
  tag: string,
  of: string,
  { ignoresCase = false }: { readonly ignoresCase?: boolean } = {},
): TagRole | undefined {
  const fold = (name: string): string => (ignoresCase ? name.toLowerCase() : name);
  const name = fold(tag);
  if (name === fold(of)) return { kind: 'plain' };
  if (name === fold(holdTag(of))) return { kind: 'hold' };
  const suffix = stripStem(name, fold(toStem(of)));
  const [, named, hex] = /^(\.from)?\.([0-9a-f]{12})$/.exec(suffix) ?? [];
  if (hex !== undefined) return { kind: named === undefined ? 'generation' : 'provenance', hex };
  const moveSuffix = stripStem(name, fold(toStem(of, maxMoveStemLength)));
  // Version 0.1 wrote the time in upper case.
  const [, time = '', from = ''] =
    /^\.moved\.(\d{8}[Tt]\d{6}[Zz])\.([0-9a-f]{12})$/.exec(moveSuffix) ?? [];
  const at = parseTimeText(time);
  return at === undefined ? undefined : { kind: 'move', at, from };
}

/**
 * The tag for a copy of a source with `tag`. A reserved tag gets a hash appended, so that a source with a tag `1.27.hold` cannot
 * hold `1.27`; the result is reserved too, which keeps the mapping injective.
 */
export function copyTag(tag: string): string {
  if (!reservedTag.test(tag)) return tag;
  const room = maxTagLength - hexLength - 1;
  return `${tag.length <= room ? tag : `${tag.slice(0, room - '.hold'.length)}.hold`}-${hashText(tag, hexLength)}`;
}

/** Whether `tag`, which points to `digest`, is the generation tag of some shorter tag, in a registry with or without case. */
export function isGenerationTag(tag: string, digest: string): boolean {
  return tag.toLowerCase().endsWith(`.${shortHex(digest)}`);
}

/** Whether two different tags are one tag in a registry whose tags have no case. */
export function isSameTagWithoutCase(a: string, b: string): boolean {
  return a !== b && a.toLowerCase() === b.toLowerCase();
}

function toStem(tag: string, maxLength = maxStemLength): string {
  if (tag.length <= maxLength) return tag;
  return `${tag.slice(0, maxLength - hexLength - 1)}-${hashText(tag, hexLength)}`;
}

function stripStem(tag: string, stem: string): string {
  return tag.startsWith(stem) ? tag.slice(stem.length) : '';
}

/**
 * Formats a time as `20261125t033408z`, in lower case because some registries list tags in lower case, and a time outside
 * the years 1970 to 9999 as the nearest one inside.
 */
function toTimeText(at: number): string {
  const iso = new Date(Math.min(Math.max(at, 0), maxTime)).toISOString();
  return iso.replaceAll(/[-:]|\.\d+/g, '').toLowerCase();
}

function parseTimeText(text: string): number | undefined {
  const iso = text.replace(/^(....)(..)(..)T(..)(..)(..)Z$/i, '$1-$2-$3T$4:$5:$6Z');
  const at = Date.parse(iso);
  return Number.isNaN(at) ? undefined : at;
}

/** The first hex digits of a digest, as generation, provenance and move tags contain them. */
export function shortHex(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1).slice(0, hexLength);
}
