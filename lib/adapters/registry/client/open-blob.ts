import { RegistryError } from '../errors/index.ts';
import { drop, headerOf } from '../http/index.ts';
import type { Ask } from './ask.ts';
import type { Descriptor } from './manifest.ts';

/** Opens a blob at `offset`. */
export type OpenBlob = (
  descriptor: Descriptor,
  offset: number,
  signal: AbortSignal,
) => Promise<AsyncIterable<Uint8Array>>;

const step = 'reading a layer';

/** Reads blobs, and the rest of blobs, also where a registry knows no ranges. */
export function openBlobOf(ask: Ask): OpenBlob {
  return async function openBlob({ digest, size }, offset, signal) {
    const headers = offset === 0 ? {} : { range: `bytes=${offset}-` };
    const answer = await ask(
      { method: 'GET', rest: `blobs/${digest}`, headers, step },
      [404],
      signal,
    );
    if (answer === undefined) {
      throw new RegistryError('NOT_FOUND', `${step}: ${digest} is not there`);
    }
    const isRest = answer.status === 206;
    const range = headerOf(answer, 'content-range') ?? '';
    if (isRest && !range.startsWith(`bytes ${offset}-`)) {
      await drop(answer);
      throw new RegistryError('REFUSED', `${step}: it served another part than it was asked for`);
    }
    const length = headerOf(answer, 'content-length');
    if (length !== undefined && Number(length) !== (isRest ? size - offset : size)) {
      await drop(answer);
      throw new RegistryError('REFUSED', `${step}: it is not as long as the manifest says`);
    }
    return isRest || offset === 0 ? answer.body : skip(answer.body, offset);
  };
}

async function* skip(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of body) {
    if (left >= chunk.length) {
      left -= chunk.length;
      continue;
    }
    yield chunk.subarray(left);
    left = 0;
  }
}
