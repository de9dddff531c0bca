import type { Config, Logger } from '../../lib/index.ts';
import { type Certificates, watchCertificates } from './certificates.ts';
import { openServer, type ServerOptions } from './server.ts';

export interface ListenerOptions {
  readonly config: Pick<Config, 'port' | 'tls'>;
  /** As they were read from the files of `config.tls`. */
  readonly certificates: Certificates | undefined;
  /** Reviews and probes. */
  readonly app: Pick<ServerOptions, 'fetch'>;
  /** What is left for plain http where HTTPS has a port of its own. */
  readonly probeApp: Pick<ServerOptions, 'fetch'>;
  readonly logger: Logger;
}

export interface Listeners {
  /** Where reviews are taken. */
  readonly port: number;
  /** Takes no new connection on any port; resolves when the last request is answered. */
  close(): Promise<void>;
}

/** Opens the one port, or both where `TLS_PORT` is set, and keeps the certificates new. */
export async function openListeners(options: ListenerOptions): Promise<Listeners> {
  const { config, certificates, app, probeApp, logger } = options;
  const { port, tls } = config;
  const main = await openServer({ fetch: app.fetch, port: tls?.port ?? port, certificates });
  const plain =
    tls?.port === undefined ? undefined : await openServer({ fetch: probeApp.fetch, port });
  const stopWatching =
    tls === undefined || certificates === undefined
      ? undefined
      : watchCertificates({
          files: tls,
          loaded: certificates,
          onChange: (renewed) => main.renew(renewed),
          logger,
        });
  return {
    port: main.port,
    async close() {
      stopWatching?.();
      await Promise.all([main.close(), plain?.close()]);
    },
  };
}
