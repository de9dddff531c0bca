import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { createSecureContext } from 'node:tls';
import { getRequestListener } from '@hono/node-server';
import { ConfigError } from '../../lib/errors.ts';
import type { Logger } from '../../lib/index.ts';

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface ServerOptions {
  readonly fetch: (request: Request) => Response | Promise<Response>;
  readonly port: number;
  /** HTTPS where given; the files are read again when they change. */
  readonly tls: TlsFiles | undefined;
  readonly logger: Logger;
}

export interface WebhookServer {
  readonly port: number;
  /** Takes no new connection; resolves when the last request is answered. */
  close(): Promise<void>;
}

const limits = {
  // Go's client keeps an idle connection for 90 s: it must be the one to close it, or a review meets a closed socket.
  keepAliveTimeout: 120_000,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
};
/** Secrets are swapped by the kubelet within a minute; a second more does not matter. */
const certificatePollMs = 1_000;

/** Opens the one port. Rejects with `ConfigError` for certificates that cannot be used, with the system's error for the port. */
export async function openServer({
  fetch,
  port,
  tls,
  logger,
}: ServerOptions): Promise<WebhookServer> {
  const listener = getRequestListener(fetch, { overrideGlobalObjects: false });
  const secured =
    tls === undefined ? undefined : createTlsServer({ ...limits, ...(await readPair(tls)) });
  const server = secured ?? createServer(limits);
  let isClosing = false;
  server.on('request', (incoming, outgoing) => {
    outgoing.on('close', () => {
      if (isClosing) server.closeIdleConnections();
    });
    void listener(incoming, outgoing);
  });
  await listen(server, port);
  const stopWatching =
    tls === undefined || secured === undefined ? undefined : watchPair(secured, tls, logger);

  return {
    port: portOf(server),
    async close() {
      isClosing = true;
      stopWatching?.();
      const { promise, resolve } = Promise.withResolvers<undefined>();
      server.close(() => resolve(undefined));
      await promise;
    },
  };
}

/** Established connections keep the certificate that they began with; new ones get the new one. */
function watchPair(server: TlsServer, tls: TlsFiles, logger: Logger): () => void {
  const reload = (): void => {
    readPair(tls).then(
      (pair) => {
        server.setSecureContext(pair);
        logger.info({ file: tls.certFile }, 'certificate loaded');
      },
      (error: unknown) =>
        logger.warn({ err: error }, 'certificate cannot be loaded, the last good one stays in use'),
    );
  };
  const files = [tls.certFile, tls.keyFile];
  for (const file of files) {
    watchFile(file, { interval: certificatePollMs, persistent: false }, reload);
  }
  return () => {
    for (const file of files) unwatchFile(file, reload);
  };
}

/** Reads and tries the pair, so that a half-written or mismatched one never replaces a good one. */
export async function readPair({
  certFile,
  keyFile,
}: TlsFiles): Promise<{ readonly cert: string; readonly key: string }> {
  const read = await Promise.allSettled([readPem(certFile), readPem(keyFile)]);
  const problems = read.flatMap((result) =>
    result.status === 'rejected' && result.reason instanceof ConfigError
      ? result.reason.problems
      : [],
  );
  if (problems.length > 0) throw new ConfigError(problems);
  const [cert = '', key = ''] = read.map((result) =>
    result.status === 'fulfilled' ? result.value : undefined,
  );
  const pair = { cert, key };
  try {
    createSecureContext(pair);
  } catch {
    // OpenSSL's words say less than this does.
    throw new ConfigError([`${certFile} and ${keyFile} are not a certificate and its key in PEM`]);
  }
  return pair;
}

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw new ConfigError([`${file} cannot be read (${code}); it is needed for HTTPS`]);
  }
}

async function listen(server: Server | TlsServer, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  server.once('error', reject);
  server.listen(port, () => resolve(undefined));
  await promise;
  server.off('error', reject);
}

function portOf(server: Server | TlsServer): number {
  const address = server.address();
  return address === null || typeof address === 'string' ? 0 : address.port;
}
