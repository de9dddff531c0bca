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
  /** As the administrator wrote it. */
  readonly text: string;
  matches(image: Reference): boolean;
}

const allowed = /^[A-Za-z0-9._\-/:@*[\]]+$/;

/**
 * A pattern matches a whole image name, never a part of one. It is completed as an image name is (`nginx` means
 * `docker.io/library/nginx`); `*` stands for any characters but `/`, `**` for any at all; without a tag it matches every tag,
 * and a tag matches also where a digest follows.
 * Throws `CloneError` `INVALID_REFERENCE`.
 */
export function parseImagePattern(text: string): ImagePattern {
  if (!allowed.test(text)) {
    throw new CloneError('INVALID_REFERENCE', `${JSON.stringify(text)} is not an image pattern`);
  }
  const full = complete(text);
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

function complete(text: string): string {
  if (text.startsWith('**')) return text;
  const [head = '', ...rest] = text.split('/');
  const isHub = head === dockerHub || head === `index.${dockerHub}`;
  if (rest.length > 0 && isDomainLike(head) && !isHub) return text;
  const path = isHub && rest.length > 0 ? rest.join('/') : text;
  const isOfficial = !path.includes('/') && !path.startsWith('**');
  return `${dockerHub}/${isOfficial ? 'library/' : ''}${path}`;
}

/**
 * Keeps every position that the parts so far can have reached, so that the time is that of the product of both lengths:
 * a regular expression would try each way to share the name among a hundred asterisks.
 */
function isMatch(parts: readonly string[], name: string): boolean {
  let reached = new Set([0]);
  for (const part of parts) {
    reached = part.startsWith('*')
      ? spread(reached, name, part.length > 1)
      : step(reached, name, part);
  }
  return reached.has(name.length);
}

/** An asterisk: from each position to all that follow it, the single one up to the next slash. */
function spread(from: ReadonlySet<number>, name: string, overSlashes: boolean): Set<number> {
  const reached = new Set<number>();
  for (let position = 0, open = false; position <= name.length; position += 1) {
    if (!overSlashes && name[position - 1] === '/') open = false;
    open ||= from.has(position);
    if (open) reached.add(position);
  }
  return reached;
}

/** Letters: only from where the name goes on with them. */
function step(from: ReadonlySet<number>, name: string, letters: string): Set<number> {
  const goesOn = [...from].filter((position) => name.startsWith(letters, position));
  return new Set(goesOn.map((position) => position + letters.length));
}
