import { createHash } from 'node:crypto';

/** What a registry stores: it is never shared, so it can be handed to a `Response`. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** `sha256:…` of the bytes, or of all the chunks one after the other. */
export function toDigest(content: Bytes | readonly Bytes[], algorithm = 'sha256'): string {
  const hash = createHash(algorithm);
  for (const chunk of content instanceof Uint8Array ? [content] : content) hash.update(chunk);
  return `${algorithm}:${hash.digest('hex')}`;
}

/** A value as the JSON bytes that are stored, hashed and pushed. */
export function toJsonBytes(value: unknown): Bytes {
  return new TextEncoder().encode(JSON.stringify(value));
}
