import { parseAllDocuments } from 'yaml';
import { addField, appendItem } from './edit-node.ts';
import { applyEdits } from './text-edits.ts';

/** Something to say about one object of a text. */
export interface Note {
  readonly line: number;
  /** `deployment/web`; empty for the text as a whole. */
  readonly object: string;
  readonly message: string;
}

/** Adds problems and warnings to a ResourceList, in which a KRM function reports them; `undefined` for any other text. */
export function addResults(
  text: string,
  notes: { readonly problems: readonly Note[]; readonly warnings: readonly Note[] },
): string | undefined {
  const [document] = parseAllDocuments(text, { keepSourceTokens: true });
  if (document === undefined || document.errors.length > 0) return undefined;
  if (document.get('kind') !== 'ResourceList') return undefined;
  const toResult = ({ object, message }: Note, severity: 'error' | 'warning'): object => ({
    severity,
    message: object === '' ? message : `${object}: ${message}`,
  });
  const results = [
    ...notes.problems.map((note) => toResult(note, 'error')),
    ...notes.warnings.map((note) => toResult(note, 'warning')),
  ];
  if (results.length === 0) return text;
  const list = { text, root: document.contents };
  const edits = document.has('results')
    ? results.map((result) => appendItem(list, ['results'], result))
    : [addField(list, ['results'], results)];
  return applyEdits(text, edits);
}
