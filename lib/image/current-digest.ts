import { parseTagRole, shortHex } from './tags.ts';

/** The tags of a repository, each with the digest that it holds. */
export type TagDigests = ReadonlyMap<string, string>;

/** A recorded move of a tag, which a registry with immutable tags may have refused. */
export interface Move {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The first hex digits of the digest that the tag held. */
  readonly from: string;
  /** The new digest, which has a generation tag. */
  readonly to: string;
}

/**
 * The digest that the tag `of` means: the one that it holds or, if a later move away from that one is recorded, the target of the
 * newest such move; `undefined` if the tag does not exist. See lib/decisions/0001-tag-scheme-and-generations.md.
 */
export function currentDigest(tags: TagDigests, of: string): string | undefined {
  const held =
    tags.get(of) ?? (ignoresCase([...tags.keys()], of) ? tags.get(of.toLowerCase()) : undefined);
  if (held === undefined) return undefined;
  const hex = shortHex(held);
  const counted = movesOf(tags, of).filter(({ from, to }) => from === hex || to === held);
  const newest = Math.max(...counted.map(({ at }) => at));
  const targets = counted.filter(({ at }) => at === newest).map(({ to }) => to);
  return targets.includes(held) ? held : (targets[0] ?? held);
}

/** The recorded moves of a tag, in no particular order. */
export function movesOf(tags: TagDigests, of: string): readonly Move[] {
  const options = { ignoresCase: ignoresCase([...tags.keys()], of) };
  const kept = new Set<string>();
  const moves: Move[] = [];
  for (const [name, digest] of tags) {
    const role = parseTagRole(name, of, options);
    if (role?.kind === 'generation' && role.hex === shortHex(digest)) kept.add(digest);
    if (role?.kind === 'move') moves.push({ at: role.at, from: role.from, to: digest });
  }
  return moves.filter(({ to }) => kept.has(to));
}

/** Whether the registry lists tags in lower case, as far as its list shows; then no two of them differ in case only. */
export function ignoresCase(names: readonly string[], of: string): boolean {
  return of !== of.toLowerCase() && names.every((name) => name === name.toLowerCase());
}
