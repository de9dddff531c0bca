import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTempDir } from '../../real/support/janitor.ts';
import { findFreePort } from '../../real/support/port.ts';
import { startProcess } from '../../real/support/process.ts';
import { probe } from '../../real/support/request.ts';
import type { Tls } from '../../real/support/tls.ts';

export interface TlsRegistry {
  readonly host: string;
  /** The CA for its clients. */
  readonly caFile: string;
  readonly stop: () => Promise<unknown>;
}

/** Serves the data of another registry with https. */
export async function startTlsRegistry(
  { dataDir }: { readonly dataDir: string },
  { ca, certFile, keyFile }: Tls,
): Promise<TlsRegistry> {
  const host = `127.0.0.1:${await findFreePort()}`;
  const dir = createTempDir('tls-registry');
  const [configFile, caFile] = [join(dir, 'config.json'), join(dir, 'ca.crt')];
  await writeFile(caFile, ca);
  const config = {
    version: '0.1',
    storage: { filesystem: { rootdirectory: dataDir } },
    http: { addr: host, tls: { certificate: certFile, key: keyFile } },
  };
  // JSON is YAML.
  await writeFile(configFile, JSON.stringify(config));
  const server = await startProcess({
    program: 'docker-registry',
    args: ['serve', configFile],
    dir,
    isReady: async () => (await probe(`https://${host}/v2/`, { ca })) === 200,
  });
  return { host, caFile, stop: () => server.stop() };
}
