import type { Metrics } from '../../lib/adapters/metrics.ts';
import type { Config, Logger } from '../../lib/index.ts';
import { type Certificates, watchCertificates } from '../shared/adapters/certificates.ts';
import { watchCertificateExpiry } from './certificate-expiry.ts';
import { watchGatewayCertificate } from './gateway-certificate.ts';
import { openServer, type ServerOptions } from './server.ts';

export interface ListenerOptions {
  readonly config: Pick<Config, 'port' | 'tls' | 'gatewayCertFile'>;
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
  const { port, tls, gatewayCertFile } = config;
  const onExpiry = (at: Date): void => metrics.certificateExpires(at);
  const main = await openServer({ fetch: app.fetch, port: tls?.port ?? port, certificates });
  const plain =
    tls?.port === undefined ? undefined : await openServer({ fetch: probeApp.fetch, port });
  let stopWatching: (() => void) | undefined;
  if (tls !== undefined && certificates !== undefined) {
    const expiry = watchCertificateExpiry({
      file: tls.certFile,
      cert: certificates.cert,
      onExpiry,
      logger,
    });
    const stop = watchCertificates({
      files: tls,
      loaded: certificates,
      onChange: (renewed) => {
        main.renew(renewed);
        expiry.renew(renewed.cert);
      },
      onStale: (isStale) => metrics.fileIsStale('TLS_CERT_FILE', isStale),
      logger,
    });
    stopWatching = () => {
      stop();
      expiry.stop();
    };
  } else if (gatewayCertFile !== undefined) {
    stopWatching = watchGatewayCertificate({ file: gatewayCertFile, onExpiry, logger });
  }
  return {
    port: main.port,
    async close() {
      stopWatching?.();
      await Promise.all([main.close(), plain?.close()]);
    },
  };
}
