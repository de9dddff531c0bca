/** RFC 6902, as far as we use it. */
export type PatchOperation = {
  readonly op: 'test' | 'add' | 'replace';
  readonly path: string;
  readonly value: unknown;
};

/** `~` and `/` inside one part of a JSON pointer (RFC 6901 §3). */
export function escapePointer(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** The value of `response.patch`: base64 of the JSON, which is kept to ASCII so that no character can be lost on the way. */
export function encodePatch(operations: readonly PatchOperation[]): string {
  const json = JSON.stringify(operations);
  const ascii = json.replaceAll(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return btoa(ascii);
}
