import { join } from 'node:path';
import * as v from 'valibot';
import { createTempDir } from './janitor.ts';
import { startRestartable } from './process.ts';
import { type ProgramResult, runProgram } from './program.ts';
import { probe, sendRequest } from './request.ts';

export interface DockerDaemonOptions {
  /**
   * Host of a registry that replaces Docker Hub, so that `alpine:3.12` can be pulled by that name. dockerd retries failed requests
   * at Docker Hub itself, which is unreachable, so a 404 of the mirror becomes an outage.
   */
  readonly dockerHubMirror?: string;
}

export interface DockerDaemon {
  /** Path of the unix socket. */
  readonly socket: string;
  /** `DOCKER_HOST`: `unix:///…/docker.sock`. */
  readonly dockerHost: string;
  /** Runs `docker ARGS` against this daemon; never rejects because of its exit code. */
  readonly cli: (args: readonly string[]) => Promise<ProgramResult>;
  /** All local tags, sorted: `127.0.0.1:5000/library/nginx:1.27`. */
  readonly tags: () => Promise<readonly string[]>;
  /** Stops the daemon and keeps its images for the next `start`. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>;
  /** Starts it again on the same socket. */
  readonly start: () => Promise<void>;
}

const nowhere = 'http://127.0.0.1:1';

const imagesSchema = v.array(v.object({ RepoTags: v.nullish(v.array(v.string()), []) }));

/** Starts a dockerd with its own data directory, no network, and plain http for loopback registries. Needs root. */
export async function startDockerDaemon({
  dockerHubMirror,
}: DockerDaemonOptions = {}): Promise<DockerDaemon> {
  const dir = createTempDir('docker');
  const socket = join(dir, 'docker.sock');
  const dockerHost = `unix://${socket}`;
  const flags = {
    'data-root': join(dir, 'data'),
    'exec-root': join(dir, 'exec'),
    host: dockerHost,
    pidfile: join(dir, 'pid'),
    iptables: 'false',
    ip6tables: 'false',
    bridge: 'none',
    'storage-driver': 'vfs',
    'insecure-registry': '127.0.0.0/8',
    ...(dockerHubMirror !== undefined && { 'registry-mirror': `http://${dockerHubMirror}` }),
  };
  const daemon = await startRestartable({
    program: 'dockerd',
    args: Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
    dir,
    // Nothing listens there, which keeps the daemon's traffic on loopback.
    env: { HTTP_PROXY: nowhere, HTTPS_PROXY: nowhere, NO_PROXY: '127.0.0.0/8' },
    isReady: async () => (await probe('http://docker/_ping', { socketPath: socket })) === 200,
  });

  return {
    socket,
    dockerHost,
    cli: (args) => runProgram('docker', ['--host', dockerHost, ...args]),
    tags: async () => {
      const { body } = await sendRequest('http://docker/images/json', { socketPath: socket });
      const images = v.parse(imagesSchema, JSON.parse(body));
      return images
        .flatMap(({ RepoTags }) => RepoTags ?? [])
        .filter((tag) => tag !== '<none>:<none>')
        .toSorted();
    },
    stop: daemon.stop,
    start: daemon.start,
  };
}
