import { RegistryError } from '../errors/index.ts';
import { drop, headerOf } from '../http/index.ts';
import { isWebPage, type RegistryResponse, webPageError } from '../transport/index.ts';
import type { Descriptor } from './manifest.ts';
import type { SendRead } from './send-read.ts';

/** Reads blobs of one repository. */
export interface BlobReader {
  /** Opens a blob at `offset`. If the registry does not support ranges, skips the bytes before it. */
  openBlob(
    descriptor: Descriptor,
    offset: number,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>>;
  /** Opens a part of a blob, in one attempt; `undefined` if the registry serves anything else. `end` is exclusive. */
  openPart(
    descriptor: Descriptor,
    range: { readonly start: number; readonly end: number },
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array> | undefined>;
}

const step = 'reading a layer';

export function createBlobReader(sendRead: SendRead): BlobReader {
  const openBlob: BlobReader['openBlob'] = async ({ digest, size }, offset, signal) => {
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

  const openPart: BlobReader['openPart'] = async ({ digest, size }, { start, end }, signal) => {
    const path = `blobs/${digest}`;
    const range = `${start}-${end - 1}`;
    const headers = { range: `bytes=${range}` };
    const request = { method: 'GET', path, headers, maxAttempts: 1, step } as const;
    const response = await sendRead(request, [404, 416], signal);
    if (response === undefined) return undefined;
    const served = headerOf(response, 'content-range');
    const isAsked = served === `bytes ${range}/${size}` || served === `bytes ${range}/*`;
    if (response.status === 206 && isAsked) return response.body;
    await drop(response);
    return undefined;
  };

  return { openBlob, openPart };

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
