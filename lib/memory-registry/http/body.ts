import type { Bytes } from '../images/digest.ts';

/** The whole body, or `undefined` for more than so many bytes. */
export async function readBody(
  body: AsyncIterable<Bytes>,
  maxBytes: number,
): Promise<Bytes | undefined> {
  const chunks: Bytes[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Uint8Array.from(Buffer.concat(chunks));
}
