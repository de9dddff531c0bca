import type { Scope } from '../auth/index.ts';
import { drop } from '../http/index.ts';
import type { RegistryRequest, RegistryResponse, Send } from '../transport/index.ts';

/** Sends a read below one repository; resolves with `undefined` for a status in `absent`. */
export type SendRead = (
  request: Pick<
    RegistryRequest,
    'method' | 'headers' | 'maxBytes' | 'digestLike' | 'maxAttempts' | 'step'
  > & {
    /** `manifests/1.27` */
    readonly path: string;
  },
  absent: readonly number[],
  signal: AbortSignal,
) => Promise<RegistryResponse | undefined>;

/** @param urlOf the URL of a path below the repository */
export function createSendRead(
  send: Send,
  urlOf: (path: string) => URL,
  scopes: readonly Scope[],
): SendRead {
  return async function sendRead({ path, ...request }, absent, signal) {
    const expect = [200, 206, ...absent];
    const response = await send({ ...request, url: urlOf(path), scopes, expect }, signal);
    if (!absent.includes(response.status)) return response;
    await drop(response);
    return undefined;
  };
}
