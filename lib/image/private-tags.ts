import { hashText } from './digest.ts';

/** 128 bits, so that no second digest with the same prefix can be found. */
const hexLength = 32;

/** A namespace of one of the clusters that share the backup. */
export interface ClusterNamespace {
  readonly cluster: string;
  readonly namespace: string;
}

/** The marker tag of a private copy. It applies to the digest, whatever tags point to it. */
export function privateTag(digest: string): string {
  return `private.${digest.slice(digest.indexOf(':') + 1).slice(0, hexLength)}`;
}

/** The marker tag that grants a namespace a private copy, because its pull secret opened the source. The hash hides the names. */
export function namespaceGrantTag(
  digest: string,
  { cluster, namespace }: ClusterNamespace,
): string {
  return `${privateTag(digest)}.${hashOf([cluster, namespace])}`;
}

/** The marker tag that grants every namespace the copy, because the source turned out to be public. */
export function publicGrantTag(digest: string): string {
  return `${privateTag(digest)}.${hashOf(['anybody'])}`;
}

function hashOf(names: readonly string[]): string {
  return hashText(JSON.stringify(names), hexLength);
}
