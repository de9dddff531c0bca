import type { Metrics } from '../../lib/adapters/metrics.ts';
import type { Config, Logger } from '../../lib/index.ts';
import { type Certificates, type TlsFiles, watchCertificates } from '../shared/certificates.ts';
import { watchCertificateExpiry } from './certificate-expiry.ts';
import { openServer, type ServerOptions, type WebhookServer } from './server.ts';

export interface ListenerOptions {
  readonly config: Pick<Config, 'port' | 'tls'>;
  /** The contents of the files of `config.tls`. */
  readonly certificates: Certificates | undefined;
  /** Reviews and probes. */
  readonly app: Pick<ServerOptions, 'fetch'>;
  /** For the plain HTTP port beside `TLS_PORT`. */
  readonly probeApp: Pick<ServerOptions, 'fetch'>;
  readonly metrics: Pick<Metrics, 'certificateExpires' | 'fileIsStale'>;
  readonly logger: Logger;
}

export interface Listeners {
  /** The port for reviews. */
  readonly port: number;
  /** Closes both ports; resolves when the last request is answered. */
  close(): Promise<void>;
}

/** Opens one port, or two if `TLS_PORT` is set, and reloads the certificates. */
export async function openListeners(options: ListenerOptions): Promise<Listeners> {
  const { config, certificates, app, probeApp, metrics, logger } = options;
  const { port, tls } = config;
  const main = await openServer({ fetch: app.fetch, port: tls?.port ?? port, certificates });
  const plain =
    tls?.port === undefined ? undefined : await openServer({ fetch: probeApp.fetch, port });
  const stopWatching =
    tls === undefined || certificates === undefined
      ? undefined
      : watch({ files: tls, loaded: certificates, server: main, metrics, logger });
  return {
    port: main.port,
    async close() {
      stopWatching?.();
      await Promise.all([main.close(), plain?.close()]);
    },
  };
}

interface WatchOptions {
  readonly files: TlsFiles;
  readonly loaded: Certificates;
  readonly server: WebhookServer;
  readonly metrics: ListenerOptions['metrics'];
  readonly logger: Logger;
}

function watch({ files, loaded, server, metrics, logger }: WatchOptions): () => void {
  const expiry = watchCertificateExpiry({
    file: files.certFile,
    cert: loaded.cert,
    onExpiry: (at) => metrics.certificateExpires(at),
    logger,
  });
  const stop = watchCertificates({
    files,
    loaded,
    onChange: (renewed) => {
      server.renew(renewed);
      expiry.renew(renewed.cert);
    },
    onStale: (isStale) => metrics.fileIsStale('TLS_CERT_FILE', isStale),
    logger,
  });
  return () => {
    stop();
    expiry.stop();
  };
}
