import { createHash } from 'node:crypto';

const digestPattern = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;
const digestLengths = new Map([
  ['sha256', 64],
  ['sha384', 96],
  ['sha512', 128],
]);

/** Whether `text` is a supported digest: sha256, sha384 or sha512 in lower-case hex. */
export function isDigest(text: string): boolean {
  return digestProblem(text) === undefined;
}

/** Returns why `text` is not a supported digest, as a clause; `undefined` if it is one. */
export function digestProblem(text: string): string | undefined {
  if (!digestPattern.test(text)) return 'the digest is malformed';
  const [algorithm = '', hex = ''] = text.split(':');
  const length = digestLengths.get(algorithm);
  if (length === undefined) return `the digest algorithm ${algorithm} is not supported`;
  if (hex.length !== length) return `a ${algorithm} digest has ${length} hexadecimal digits`;
  return /^[0-9a-f]+$/.test(hex) ? undefined : 'the digest must be lower case';
}

/** Returns `sha256` for `sha256:…`. */
export function algorithmOf(digest: string): string {
  return digest.slice(0, digest.indexOf(':'));
}

/** Returns the first `length` hex digits of the sha256 of `text`. */
export function hashText(text: string, length: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, length);
}

/** Returns the digest of `bytes` by the algorithm of the digest `like`. */
export function digestOf(bytes: Uint8Array, like = 'sha256:'): string {
  const algorithm = algorithmOf(like);
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}
