import { CloneError } from '../errors.ts';
import {
  canonicalReference,
  canonicalRepository,
  dockerHub,
  isDomainLike,
  type Reference,
} from './reference.ts';

/** One entry of `IGNORE_IMAGES`. */
export interface ImagePattern {
  /** The entry as it was written. */
  readonly text: string;
  matches(image: Reference): boolean;
}

const patternCharacters = /^[A-Za-z0-9._\-/:@*[\]]+$/;

/**
 * Parses a pattern, which matches whole names and is normalized like one: `nginx` means `docker.io/library/nginx`. `*` matches
 * all characters but `/`, `**` all; a pattern without a tag matches every tag, one with a tag also if a digest follows.
 * Throws `CloneError` `INVALID_REFERENCE`.
 */
export function parseImagePattern(text: string): ImagePattern {
  if (!patternCharacters.test(text)) {
    throw new CloneError('INVALID_REFERENCE', `${JSON.stringify(text)} is not an image pattern`);
  }
  const full = normalize(text);
  const namesVersion = full.slice(full.lastIndexOf('/') + 1).search(/[:@]/) >= 0;
  const parts = full.split(/(\*{2,}|\*)/).filter((part) => part !== '');
  return {
    text,
    matches: (image) => {
      const { digest: _digest, ...tagged } = image;
      const names = namesVersion
        ? [
            canonicalReference(image),
            ...(image.tag === undefined ? [] : [canonicalReference(tagged)]),
          ]
        : [canonicalRepository(image)];
      return names.some((name) => isMatch(parts, name));
    },
  };
}

function normalize(text: string): string {
  if (text.startsWith('**')) return text;
  const [head = '', ...rest] = text.split('/');
  const isHub = head === dockerHub || head === `index.${dockerHub}`;
  if (rest.length > 0 && isDomainLike(head) && !isHub) return text;
  const path = isHub && rest.length > 0 ? rest.join('/') : text;
  const isOfficial = !path.includes('/') && !path.startsWith('**');
  return `${dockerHub}/${isOfficial ? 'library/' : ''}${path}`;
}

/**
 * Tracks every position that a match can have reached, so that the time is bounded by the product of both lengths. A regular
 * expression would backtrack exponentially on a hundred asterisks.
 */
function isMatch(parts: readonly string[], name: string): boolean {
  let positions = new Set([0]);
  for (const part of parts) {
    positions = part.startsWith('*')
      ? matchWildcard(positions, name, part.length > 1)
      : matchLiteral(positions, name, part);
  }
  return positions.has(name.length);
}

function matchWildcard(
  from: ReadonlySet<number>,
  name: string,
  crossesSlash: boolean,
): Set<number> {
  const positions = new Set<number>();
  for (let position = 0, open = false; position <= name.length; position += 1) {
    if (!crossesSlash && name[position - 1] === '/') open = false;
    open ||= from.has(position);
    if (open) positions.add(position);
  }
  return positions;
}

function matchLiteral(from: ReadonlySet<number>, name: string, literal: string): Set<number> {
  const matching = [...from].filter((position) => name.startsWith(literal, position));
  return new Set(matching.map((position) => position + literal.length));
}
