import { stat } from 'node:fs/promises';
import Docker from 'dockerode';
import { ConfigError } from '../../errors.ts';
import type { Logger } from '../../ports/index.ts';
import { type DaemonError, parseDaemonError } from './daemon-error.ts';

export interface DaemonOptions {
  /** `unix:///var/run/docker.sock` or `tcp://host:port`. */
  readonly dockerHost: string;
  readonly logger: Logger;
}

/** dockerd sends nothing while it extracts a large layer. */
const idleTimeoutMs = 600_000;
const pingTimeoutMs = 2_000;

/**
 * Opens a client for the daemon. Rejects with `ConfigError` without the socket of a docker daemon or the permission to use
 * it; a daemon that is down is an outage, which is logged.
 */
export async function openDaemon({ dockerHost, logger }: DaemonOptions): Promise<Docker> {
  const url = new URL(dockerHost);
  if (url.protocol === 'unix:') {
    const socketPath = decodeURIComponent(url.pathname);
    await checkSocket(socketPath, logger);
    // Unless `host` is present, docker-modem prefers the DOCKER_HOST environment variable to the path.
    return new Docker({ host: undefined, socketPath, timeout: idleTimeoutMs });
  }
  return new Docker({
    host: url.hostname,
    port: url.port || (url.protocol === 'https:' ? '2376' : '2375'),
    protocol: url.protocol === 'https:' ? 'https' : 'http',
    timeout: idleTimeoutMs,
  });
}

async function checkSocket(path: string, logger: Logger): Promise<void> {
  const stats = await stat(path).catch((error: unknown) => {
    // A parent directory can deny access.
    if (isForbidden(codeOf(error))) throw permissionDenied(path);
    return undefined;
  });
  if (stats === undefined) {
    throw new ConfigError([
      `DOCKER_HOST: there is no docker socket at ${path}; mount it, or set DOCKER_HOST`,
    ]);
  }
  if (!stats.isSocket()) {
    throw new ConfigError([
      `DOCKER_HOST: ${path} is not a socket; set it to the socket of a docker daemon`,
    ]);
  }
  const failure = await ping(path);
  if (failure === undefined) return;
  const { code, statusCode } = failure;
  if (isForbidden(code)) throw permissionDenied(path);
  // containerd speaks HTTP/2, which Node's parser reports as `HPE_…`.
  if (statusCode === 404 || code?.startsWith('HPE_') === true) {
    throw new ConfigError([
      `DOCKER_HOST: the server at ${path} is not a docker daemon; set it to the socket of one`,
    ]);
  }
  logger.warn(
    { socket: path, code: code ?? `HTTP ${statusCode}` },
    'the docker daemon does not answer yet',
  );
}

async function ping(socketPath: string): Promise<DaemonError | undefined> {
  try {
    await new Docker({ host: undefined, socketPath, timeout: pingTimeoutMs }).ping();
    return undefined;
  } catch (error) {
    return parseDaemonError(error);
  }
}

function permissionDenied(path: string): ConfigError {
  return new ConfigError([
    `DOCKER_HOST: permission denied for ${path}; run as its owner or in its group`,
  ]);
}

function isForbidden(code: string | undefined): boolean {
  return code === 'EACCES' || code === 'EPERM';
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}
