import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import Docker from 'dockerode';
import { ConfigError } from '../../errors.ts';
import type { Logger } from '../../ports/index.ts';

export interface DaemonOptions {
  /** `unix:///var/run/docker.sock` or `tcp://host:port`. */
  readonly dockerHost: string;
  readonly logger: Logger;
}

/** dockerd sends nothing while it extracts a large layer. */
const idleTimeoutMs = 600_000;

/**
 * Opens a client for the daemon. Rejects with `ConfigError` without a socket or the permission to use it;
 * a daemon that is down is an outage, which is logged.
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
  const code = await tryConnect(path);
  if (isForbidden(code)) throw permissionDenied(path);
  if (code !== undefined)
    logger.warn({ socket: path, code }, 'the docker daemon does not answer yet');
}

async function tryConnect(path: string): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const socket = connect(path);
  socket.once('connect', () => resolve(undefined));
  socket.once('error', (error) => resolve(codeOf(error)));
  const code = await promise;
  socket.destroy();
  return code;
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
