import { createTempDir } from '../../real/support/janitor.ts';
import { findFreePort } from '../../real/support/port.ts';
import { type RunningProcess, startProcess } from '../../real/support/process.ts';
import { probe } from '../../real/support/request.ts';
import type { Tls } from '../../real/support/tls.ts';

/** `bare-server.ts` in a process of its own. */
export type BareServer = Pick<RunningProcess, 'pid' | 'stop'> & { readonly url: string };

export async function startBareServer({ certFile, keyFile, ca }: Tls): Promise<BareServer> {
  const port = await findFreePort();
  const url = `https://127.0.0.1:${port}`;
  const running = await startProcess({
    program: process.execPath,
    args: ['--import', 'tsx', 'test/bench/servers/bare-server.ts', String(port), certFile, keyFile],
    dir: createTempDir('bare'),
    isReady: async () => (await probe(`${url}/`, { ca })) === 200,
  });
  return { ...running, url };
}
