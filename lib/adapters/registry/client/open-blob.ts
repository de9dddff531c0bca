import { RegistryError } from '../errors/index.ts';
import { drop, headerOf } from '../http/index.ts';
import { isWebPage, type RegistryResponse, webPageError } from '../transport/index.ts';
import type { Descriptor } from './manifest.ts';
import type { SendRead } from './send-read.ts';

/** Opens a blob at `offset`. */
export type OpenBlob = (
  descriptor: Descriptor,
  offset: number,
  signal: AbortSignal,
) => Promise<AsyncIterable<Uint8Array>>;

const step = 'reading a layer';

/** If a registry does not support ranges, skips the bytes before `offset`. */
export function createOpenBlob(sendRead: SendRead): OpenBlob {
  return async function openBlob({ digest, size }, offset, signal) {
    const path = `blobs/${digest}`;
    const response =
      (offset === 0 ? undefined : await openRange(path, offset, signal)) ??
      (await sendRead({ method: 'GET', path, step }, [404], signal));
    if (response === undefined) {
      throw new RegistryError('NOT_FOUND', `${step}: ${digest} not found`);
    }
    const isPartial = response.status === 206;
    const range = headerOf(response, 'content-range') ?? '';
    if (isPartial && !range.startsWith(`bytes ${offset}-`)) {
      await drop(response);
      throw new RegistryError('REFUSED', `${step}: it served another range than requested`);
    }
    const length = headerOf(response, 'content-length');
    const isWhole = Number(length) === (isPartial ? size - offset : size);
    if (!isWhole && isWebPage(response)) {
      await drop(response);
      throw webPageError(step, response);
    }
    if (length !== undefined && !isWhole) {
      await drop(response);
      throw new RegistryError('REFUSED', `${step}: its length differs from the manifest`);
    }
    return isPartial || offset === 0 ? response.body : skip(response.body, offset);
  };

  /** `undefined` if the registry does not say which range it served, or serves none. */
  async function openRange(
    path: string,
    offset: number,
    signal: AbortSignal,
  ): Promise<RegistryResponse | undefined> {
    const headers = { range: `bytes=${offset}-` };
    const response = await sendRead({ method: 'GET', path, headers, step }, [404, 416], signal);
    if (response?.status !== 206 || headerOf(response, 'content-range') !== undefined) {
      return response;
    }
    await drop(response);
    return undefined;
  }
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
