import { CloneError } from '../../errors.ts';
import { canonicalReference, formatReference, type Reference } from '../../image/reference.ts';
import { toPrintable } from '../../util/printable.ts';
import { tryParse } from '../original-images.ts';
import type { ImagePlace } from '../workload.ts';

/** The image that a warning is about. */
export interface WarningSubject {
  /** As it is written in the object. */
  readonly image: string;
  /** Other images that the text may name, such as the copy. @default none */
  readonly others?: readonly Reference[];
  /** Where the object names it; if empty, the warning names no place. @default [] */
  readonly places?: readonly ImagePlace[];
}

/** The limit that Kubernetes recommends for one warning. */
const maxWarningLength = 120;
const maxShortNameLength = 30;
const minNameLength = 20;
/** The step that failed, between what failed and why: `: connecting to registry-1.docker.io: connection refused`. */
const stepPattern = /: (?:connecting to \S+|resolving the host name \S+|\w+ing [a-z ]+)(?=: )/;
/** The hold and the generations of a copy. */
const rolePattern = String.raw`(?:\.(?:hold|[0-9a-f]{12}))?`;
const digestPattern = '(?:@[a-z0-9]+:[0-9a-f]{32,})';

/** One line of at most 120 printable characters. */
export function toWarning(text: string): string {
  return cut(toPrintable(text), maxWarningLength);
}

/**
 * A warning with the reason first. If it is too long, it loses the place, then the beginning of the name, the request that
 * failed, and at last the advice at the end of the reason.
 */
export function fitWarning(
  text: string,
  { image, others = [], places = [] }: WarningSubject,
): string {
  const sentence = toPrintable(shortenDigests(text));
  const name = shortenDigests(image);
  const place = toPlace(places);
  const isNamed = place === undefined || namesImage(sentence, name);
  const whole = toLine(sentence, isNamed ? undefined : name, place);
  if (whole.length <= maxWarningLength) return whole;

  const brief = toPrintable(shortenDigests(withoutNames(text, image, others)));
  const shown = withoutHost(name, brief);
  const short = shorten(shown, maxShortNameLength);
  const terse = brief.replace(stepPattern, '');
  const lines = [
    toLine(brief, shown, place),
    toLine(brief, shown),
    toLine(brief, short),
    toLine(terse, short),
  ];
  return lines.find((line) => line.length <= maxWarningLength) ?? fitClause(terse, shown);
}

/** As `fitWarning` for an image that is used: its name stays where the text has it, and is shortened. */
export function fitNote(text: string, subject: WarningSubject): string {
  const sentence = toPrintable(shortenDigests(text));
  if (sentence.length <= maxWarningLength) return sentence;

  const { image, others = [] } = subject;
  const own = toOwnNames(image);
  const match = own.length === 0 ? null : new RegExp(toPattern(own)).exec(text);
  if (match === null) return fitWarning(text, subject);
  const before = text.slice(0, match.index);
  const after = withoutNames(text.slice(match.index + match[0].length), image, others);
  const toSentence = (name: string): string =>
    toPrintable(shortenDigests(`${before}${name}${after}`));
  const shown = withoutHost(shortenDigests(image), after);
  const lines = [shown, shorten(shown, maxShortNameLength)].map(toSentence);
  const fitting = lines.find((line) => line.length <= maxWarningLength);
  if (fitting !== undefined) return fitting;
  const short = fitName(shown, toSentence('').replace(stepPattern, ''));
  return toWarning(toSentence(short).replace(stepPattern, ''));
}

function fitClause(sentence: string, name: string): string {
  const short = fitName(name, sentence, toLine('', '').length);
  return toWarning(toLine(cut(sentence, maxWarningLength - toLine('', short).length), short));
}

/** The reason comes before "; " and the advice after it, so the name gets what the reason leaves. */
function fitName(name: string, sentence: string, reserved = 0): string {
  const [reason = ''] = sentence.split('; ');
  const room = maxWarningLength - `${reason}…`.length - reserved;
  return shorten(name, Math.min(Math.max(room, minNameLength), maxShortNameLength));
}

/** Whether `text` contains the image as a whole word, with or without a digest: `acme/nginx:1` does not name `nginx:1`. */
export function namesImage(text: string, image: string): boolean {
  for (let at = text.indexOf(image); at >= 0; at = text.indexOf(image, at + 1)) {
    const before = text.slice(Math.max(0, at - 1), at);
    const after = text.slice(at + image.length, at + image.length + '@sha256:'.length);
    // A colon or a full stop also ends a clause.
    if (!/[\w./:@-]/.test(before) && /^([:.]?$|[:.]\s|@sha256:|[^\w./:@-])/.test(after))
      return true;
  }
  return false;
}

/** `text (name, place)` */
function toLine(text: string, ...details: readonly (string | undefined)[]): string {
  const given = details.filter((detail) => detail !== undefined);
  return given.length === 0 ? text : `${text} (${given.join(', ')})`;
}

function toPlace([first, ...others]: readonly ImagePlace[]): string | undefined {
  if (first === undefined) return undefined;
  return others.length === 0 ? first.label : `${first.label} and ${others.length} more`;
}

/** Removes the names of the image, of its copy and of the backup from a sentence, or replaces them by a pronoun. */
function withoutNames(text: string, image: string, others: readonly Reference[]): string {
  const copies = others.flatMap(toNames);
  const names = [...toOwnNames(image), ...copies];
  const backups = others.map(({ domain }) => `(?<=the backup registry) ${escapePattern(domain)}`);
  if (names.length === 0) return text;
  const any = toPattern(names, { copies });
  const distinctive = toPattern(names, { copies, isDistinctive: true });
  const isDropped = [`^${any}: `, ` (?:for|of) ${any}`, `: ${any}$`, ...backups];
  return text
    .replaceAll(new RegExp(isDropped.join('|'), 'g'), '')
    .replaceAll(
      new RegExp(`${distinctive}(?= (?:exists )?in the backup| was not written)`, 'g'),
      'the tag',
    )
    .replaceAll(new RegExp(distinctive, 'g'), 'it');
}

function toOwnNames(image: string): readonly string[] {
  const source = tryParse(image);
  return source instanceof CloneError ? [] : [shortenDigests(image), ...toNames(source)];
}

/** The forms in which messages name an image. */
function toNames(reference: Reference): readonly string[] {
  const { digest: _digest, ...named } = reference;
  return [formatReference(named), canonicalReference(named)];
}

/** Any of the names as a whole word, the longest first. A single word, such as `docker`, is distinctive only with a digest. */
function toPattern(
  names: readonly string[],
  {
    copies = [],
    isDistinctive = false,
  }: { readonly copies?: readonly string[]; readonly isDistinctive?: boolean } = {},
): string {
  const longestFirst = [...new Set(names)]
    .toSorted((a, b) => b.length - a.length)
    .map((name) => {
      const needsDigest = isDistinctive && !/[/:.]/.test(name);
      const role = copies.includes(name) ? rolePattern : '';
      return `${escapePattern(name)}${role}${digestPattern}${needsDigest ? '' : '?'}`;
    });
  return String.raw`(?<![\w./:@-])(?:${longestFirst.join('|')})(?![\w/@-]|[.:]\w)`;
}

/** The sentence names the host already. */
function withoutHost(name: string, sentence: string): string {
  const slash = name.indexOf('/');
  const host = name.slice(0, Math.max(0, slash));
  const isHost = /[.:]/.test(host);
  return isHost && sentence.split(/[\s,;]+/).includes(host) ? name.slice(slash + 1) : name;
}

/** The last component of a path says most. */
function shorten(name: string, maxLength: number): string {
  if (name.length <= maxLength) return name;
  const last = name.slice(name.lastIndexOf('/') + 1);
  return last.length < maxLength ? `…${last}` : `…${name.slice(1 - maxLength)}`;
}

/** Tags tell images apart well enough; other digests, such as that of a held copy, stay recognizable. */
function shortenDigests(text: string): string {
  return text
    .replaceAll(new RegExp(digestPattern, 'g'), '')
    .replaceAll(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, '$1…');
}

function escapePattern(text: string): string {
  return text.replaceAll(/[^\w/]/gu, String.raw`\$&`);
}

function cut(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  // The last character may be the first half of a surrogate pair.
  return `${text.slice(0, maxLength - 1).replace(/[\ud800-\udbff]$|[;,:]? ?$/, '')}…`;
}
