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
 * `docker.io/library/nginx`); `*` stands for any characters but `/`, `**` for any at all; without a tag it matches every tag.
 * Throws `CloneError` `INVALID_REFERENCE`.
 */
export function parseImagePattern(text: string): ImagePattern {
  if (!allowed.test(text)) {
    throw new CloneError('INVALID_REFERENCE', `${JSON.stringify(text)} is not an image pattern`);
  }
  const full = complete(text);
  const namesVersion = full.slice(full.lastIndexOf('/') + 1).search(/[:@]/) >= 0;
  const pattern = new RegExp(
    `^${full
      .split(/(\*\*|\*)/)
      .map(toExpression)
      .join('')}$`,
  );
  return {
    text,
    matches: (image) =>
      pattern.test(namesVersion ? canonicalReference(image) : canonicalRepository(image)),
  };
}

function complete(text: string): string {
  const [head = '', ...rest] = text.split('/');
  if (text.startsWith('**') || (rest.length > 0 && isDomainLike(head))) return text;
  return rest.length === 0 ? `${dockerHub}/library/${text}` : `${dockerHub}/${text}`;
}

function toExpression(part: string): string {
  if (part === '**') return '.*';
  if (part === '*') return '[^/]*';
  return part.replaceAll(/[.\-/[\]]/g, String.raw`\$&`);
}
