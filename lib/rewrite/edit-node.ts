import {
  isMap,
  isNode,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  type Scalar,
  stringify,
  type YAMLMap,
} from 'yaml';
import { endOf, findNode, findPair, type Path, rangeOf, startOf } from './find-node.ts';
import { lineBreakOf, type TextEdit, UneditableError } from './text-edits.ts';

/** One document of a text. */
export interface EditedDocument {
  readonly text: string;
  readonly root: Node | null;
}

/** An image name that means itself without quotes. */
const plain = /^[A-Za-z0-9][A-Za-z0-9._\-/:@]*$/;

/** Replaces text by other text in the same quotes. Throws `UneditableError`, as all functions here. */
export function replaceText({ root }: EditedDocument, path: Path, value: string): TextEdit {
  return replaceScalar(findNode(root, path), value);
}

/** Adds a field, or replaces the one that there is. */
export function addField({ text, root }: EditedDocument, path: Path, value: unknown): TextEdit {
  const key = path.at(-1) ?? '';
  const map = findNode(root, path.slice(0, -1));
  if (!isMap(map)) throw new UneditableError('nothing can be added here', startOf(map));
  const pair = findPair(map, key);
  if (pair === undefined) return insertField(text, map, String(key), value);
  const old = pair.value;
  return typeof value === 'string' && isScalar(old) && old.value !== null
    ? replaceScalar(old, value)
    : fillEmpty(pair, startOf(map), value);
}

/** Adds an item at the end of a list. */
export function appendItem({ text, root }: EditedDocument, path: Path, value: unknown): TextEdit {
  const seq = findNode(root, path);
  const start = startOf(seq);
  const last = isSeq(seq) ? seq.items.at(-1) : undefined;
  if (text[start] === '[') {
    const at = isNode(last) ? rangeOf(last)[1] : start + 1;
    return insertion(at, `${last === undefined ? '' : ', '}${JSON.stringify(value)}`);
  }
  const token = seq.srcToken;
  if (token?.type !== 'block-seq' || !isNode(last)) {
    throw new UneditableError('nothing can be added here', start);
  }
  const behind = /\r?\n|$/.exec(text.slice(endOf(last)));
  const item = stringify([value], { lineWidth: 0 }).trimEnd().split('\n');
  const lines = item.map((line) => `${lineBreakOf(text)}${' '.repeat(token.indent)}${line}`);
  return insertion(endOf(last) + (behind?.index ?? 0), lines.join(''));
}

function replaceScalar(node: Node, value: string): TextEdit {
  if (!isScalar(node)) throw new UneditableError('a text is expected here', startOf(node));
  const [start, end] = rangeOf(node);
  return { start, end, text: quoteAs(node, value) };
}

/** `annotations:` without a value, or with null. */
function fillEmpty({ value: old, srcToken }: Pair, offset: number, value: unknown): TextEdit {
  const colon = srcToken?.sep?.find(({ type }) => type === 'map-value-ind');
  if (!isScalar(old) || old.value !== null || colon === undefined) {
    throw new UneditableError('nothing can be added here', offset);
  }
  const [start, end] = rangeOf(old);
  const flow = JSON.stringify(value);
  return start < end
    ? { start, end, text: flow }
    : insertion(colon.offset + colon.source.length, ` ${flow}`);
}

/** Before the other fields, where the text needs no look at what the last one contains. */
function insertField(text: string, map: YAMLMap, key: string, value: unknown): TextEdit {
  const start = startOf(map);
  if (text[start] === '{') {
    const isFirst = map.items.length === 0;
    const gap = isFirst || /\s/.test(text[start + 1] ?? '') ? '' : ' ';
    const field = `${JSON.stringify(key)}: ${JSON.stringify(value)}${isFirst ? '' : ','}${gap}`;
    return insertion(start + 1, field);
  }
  const first = map.items[0]?.key;
  if (!isNode(first)) throw new UneditableError('nothing can be added here', start);
  const at = startOf(first);
  const lineStart = text.lastIndexOf('\n', at - 1) + 1;
  const indent = ' '.repeat(at - lineStart);
  const lines = stringify({ [key]: value }, { lineWidth: 0, singleQuote: true })
    .trimEnd()
    .split('\n');
  const newline = lineBreakOf(text);
  // The first field of a list's item is in the line of its dash.
  return text.slice(lineStart, at).trim() === ''
    ? insertion(
        aboveComments(text, lineStart),
        lines.map((line) => `${indent}${line}${newline}`).join(''),
      )
    : insertion(at, lines.map((line) => `${line}${newline}${indent}`).join(''));
}

/** The start of the first of the comments and empty lines above a line, which belong to it. */
function aboveComments(text: string, lineStart: number): number {
  let start = lineStart;
  while (start > 0) {
    const before = text.lastIndexOf('\n', start - 2) + 1;
    if (!/^\s*(#.*)?$/.test(text.slice(before, start).trimEnd())) return start;
    start = before;
  }
  return start;
}

function insertion(at: number, text: string): TextEdit {
  return { start: at, end: at, text };
}

function quoteAs({ type, range }: Scalar, value: string): string {
  const single = `'${value.replaceAll("'", "''")}'`;
  if (type === 'PLAIN') return plain.test(value) ? value : single;
  if (type === 'QUOTE_SINGLE') return single;
  if (type === 'QUOTE_DOUBLE') return JSON.stringify(value);
  throw new UneditableError('it is a block of lines: write it in one line', range?.[0] ?? 0);
}
