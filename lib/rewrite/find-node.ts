import { isAlias, isMap, isNode, isScalar, isSeq, type Node, type Pair, type YAMLMap } from 'yaml';
import { UneditableError } from './text-edits.ts';

export type Path = readonly (string | number)[];

/** Follows a path. Throws `UneditableError` if the node is not there, or other places share it. */
export function findNode(root: Node | null, path: Path): Node {
  return path.reduce<Node>((node, key) => toChild(node, key), toOwnNode(root, 0));
}

/** The field of a map; `undefined` if it has none. Throws `UneditableError` if it may have one by a merge key. */
export function findPair(map: YAMLMap, key: string | number): Pair | undefined {
  const pair = map.items.find(
    (item) => isScalar(item.key) && String(item.key.value) === String(key),
  );
  const isMerged = map.items.some((item) => isScalar(item.key) && item.key.source === '<<');
  if (pair !== undefined || !isMerged) return pair;
  throw new UneditableError(
    `${key} may come from a merge key (<<), which other places share: write it out here`,
    startOf(map),
  );
}

/** Where the text of a node is, with its quotes or brackets. */
export function rangeOf({ range }: Node): readonly [start: number, end: number] {
  return [range?.[0] ?? 0, range?.[1] ?? 0];
}

export function startOf(node: Node): number {
  return rangeOf(node)[0];
}

/** The end of the last text in a node; the range of a block collection may contain the comments behind it. */
export function endOf(node: Node): number {
  const [, end] = rangeOf(node);
  if ((isMap(node) || isSeq(node)) && node.flow !== true) {
    const last: unknown = isMap(node) ? node.items.at(-1)?.value : node.items.at(-1);
    if (isNode(last)) return endOf(last);
  }
  return end;
}

function toChild(node: Node, key: string | number): Node {
  if (isMap(node)) return toOwnNode(findPair(node, key)?.value, startOf(node));
  return toOwnNode(isSeq(node) ? node.items[Number(key)] : undefined, startOf(node));
}

function toOwnNode(value: unknown, offset: number): Node {
  if (isAlias(value)) {
    throw new UneditableError(
      `it is behind the alias *${value.source}, which other places share: write it out here`,
      value.range?.[0] ?? offset,
    );
  }
  if (!isNode(value)) throw new UneditableError('nothing can be changed here', offset);
  return value;
}
