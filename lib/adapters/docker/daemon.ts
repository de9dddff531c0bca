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

/** dockerd is silent while it extracts a large layer. */
const idleTimeoutMs = 600_000;

/**
 * A client for the daemon. Rejects with `ConfigError` when it can never work: no socket, or no permission.
 * A daemon that is merely down is an outage: it is logged, and each review is answered.
 */
export async function openDaemon({ dockerHost, logger }: DaemonOptions): Promise<Docker> {
  const url = new URL(dockerHost);
  if (url.protocol === 'unix:') {
    const socketPath = decodeURIComponent(url.pathname);
    await checkSocket(socketPath, logger);
    // docker-modem prefers a DOCKER_HOST of the environment to the path unless the host is given as absent.
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
  const found = await stat(path).catch((error: unknown) => {
    // A directory on the way to it may be closed to us.
    if (isForbidden(codeOf(error))) throw notAllowed(path);
    return undefined;
  });
  if (found === undefined) {
    throw new ConfigError([
      `DOCKER_HOST: there is no docker socket at ${path}; mount it, or set DOCKER_HOST`,
    ]);
  }
  if (!found.isSocket()) throw new ConfigError([`DOCKER_HOST: ${path} is not a socket`]);
  const code = await tryConnect(path);
  if (isForbidden(code)) throw notAllowed(path);
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

function notAllowed(path: string): ConfigError {
  return new ConfigError([`DOCKER_HOST: we may not use ${path}; run as its owner or group`]);
}

function isForbidden(code: string | undefined): boolean {
  return code === 'EACCES' || code === 'EPERM';
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}
