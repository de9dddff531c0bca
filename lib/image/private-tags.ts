import { createHash } from 'node:crypto';

/** Long enough that nobody finds another image with the same beginning. */
const hexLength = 32;

/** Whom a private copy may be served to when its source cannot be asked. */
export interface Audience {
  /** Tells clusters that share a backup from each other. */
  readonly cluster: string;
  /** Of the workload. */
  readonly namespace: string;
}

/** The mark that says that the copy with this digest is private. It is about the digest, whatever tags hold it, now and later. */
export function privateTag(digest: string): string {
  return `private.${digest.slice(digest.indexOf(':') + 1).slice(0, hexLength)}`;
}

/** The mark that says that this audience has opened the image by itself. Names are hashed: whoever lists tags need not read them. */
export function privateToTag(digest: string, { cluster, namespace }: Audience): string {
  return `${privateTag(digest)}.${hashOf([cluster, namespace])}`;
}

/** The mark that says that anybody has opened the image since: the copy was taken for private while nobody could tell. */
export function privateToNobodyTag(digest: string): string {
  return `${privateTag(digest)}.${hashOf(['anybody'])}`;
}

function hashOf(names: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(names)).digest('hex').slice(0, hexLength);
}
