import * as v from 'valibot';
import { createTempDir } from '../real/support/janitor.ts';
import { findFreePort } from '../real/support/port.ts';
import { startProcess } from '../real/support/process.ts';
import { probe, sendRequest } from '../real/support/request.ts';

const trafficSchema = v.object({
  connections: v.number(),
  requests: v.array(
    v.object({
      connection: v.number(),
      method: v.string(),
      path: v.string(),
      status: v.number(),
      sentAtMs: v.number(),
      firstByteAtMs: v.number(),
      lastByteAtMs: v.number(),
      bytes: v.number(),
    }),
  ),
});

/** What went through the proxy; times are in ms since 1970. */
type Traffic = v.InferOutput<typeof trafficSchema>;
export type LoggedRequest = Traffic['requests'][number];

export interface Network {
  /** Host of image names, instead of the registry's own. */
  readonly host: string;
  /** The traffic since the start or the last call. */
  readonly takeTraffic: () => Promise<Traffic>;
  readonly stop: () => Promise<unknown>;
}

export const roundTripMs = 60;

/** Puts a network between the clients and a registry; `network-proxy.ts` has its rates. A near one only logs the requests. */
export async function startNetwork(
  upstream: { readonly host: string },
  { isNear = false }: { readonly isNear?: boolean } = {},
): Promise<Network> {
  const [port, controlPort] = [await findFreePort(), await findFreePort()];
  const control = `http://127.0.0.1:${controlPort}/`;
  const proxy = await startProcess({
    program: process.execPath,
    args: [
      '--import',
      'tsx',
      'test/bench/network-proxy.ts',
      `--upstream=${upstream.host}`,
      `--port=${port}`,
      `--control-port=${controlPort}`,
      ...(isNear
        ? ['--round-trip-ms=0', '--connection-rate=10000', '--total-rate=10000']
        : [`--round-trip-ms=${roundTripMs}`]),
    ],
    dir: createTempDir('network'),
    isReady: async () => (await probe(control)) === 200,
  });
  return {
    host: `127.0.0.1:${port}`,
    takeTraffic: async () => {
      const { body } = await sendRequest(control, { method: 'DELETE' });
      return v.parse(trafficSchema, JSON.parse(body));
    },
    stop: () => proxy.stop(),
  };
}
