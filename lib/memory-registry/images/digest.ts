import { createHash } from 'node:crypto';

/** Bytes that are not backed by shared memory, as `Response` requires. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Digest of the bytes, or of the concatenated chunks: `sha256:…`. */
export function toDigest(content: Bytes | readonly Bytes[], algorithm = 'sha256'): string {
  const hash = createHash(algorithm);
  for (const chunk of content instanceof Uint8Array ? [content] : content) hash.update(chunk);
  return `${algorithm}:${hash.digest('hex')}`;
}

/** Encodes a value as the JSON bytes that are stored, hashed and pushed. */
export function toJsonBytes(value: unknown): Bytes {
  return new TextEncoder().encode(JSON.stringify(value));
}
