import type { RegistryRequest, RegistryResponse } from './transport.ts';

/** A question below one repository; resolves with `undefined` for one of the statuses that mean absence. */
export type Ask = (
  request: Pick<RegistryRequest, 'method' | 'headers' | 'maxBytes' | 'digestLike' | 'step'> & {
    /** `manifests/1.27`. */
    readonly rest: string;
  },
  absent: readonly number[],
  signal: AbortSignal,
) => Promise<RegistryResponse | undefined>;
