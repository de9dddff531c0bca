import * as v from 'valibot';

/** What the `_state` of an upload's Location says. */
export interface UploadState {
  readonly uuid: string;
  readonly repository: string;
  readonly offset: number;
}

const schema = v.object({ uuid: v.string(), repository: v.string(), offset: v.number() });

/** Base64 with its padding, like distribution's: a client that mangles the query is found out. */
export function formatUploadState({ uuid, repository, offset }: UploadState): string {
  const text = JSON.stringify({ uuid, repository, offset });
  const withPadding = text.length % 3 === 0 ? `${text} ` : text;
  return Buffer.from(withPadding).toString('base64');
}

/** The inverse, or `undefined` for what we never said. */
export function parseUploadState(text: string): UploadState | undefined {
  try {
    return v.parse(schema, JSON.parse(Buffer.from(text, 'base64').toString()));
  } catch {
    // Cut off, mangled on its way, or not there.
    return undefined;
  }
}
