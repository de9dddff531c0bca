import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { eventually } from './eventually.ts';
import { createTempDir } from './janitor.ts';
import { findFreePort } from './port.ts';
import { startRestartable } from './process.ts';
import { runOrThrow } from './program.ts';
import { probe } from './request.ts';

export interface RegistryUser {
  readonly name: string;
  readonly password: string;
}

export interface RegistryOptions {
  /** Distribution 2.8, or distribution 3. @default docker-registry */
  readonly program?: 'docker-registry' | 'registry3';
  /** Without users access is anonymous. `request` uses the first one. */
  readonly users?: readonly RegistryUser[];
  /** @default a new temporary directory */
  readonly dir?: string;
  /** @default a free one */
  readonly port?: number;
  /** Listen address. @default loopback */
  readonly address?: string;
  /** `storage.delete.enabled`. @default true */
  readonly deletes?: boolean;
}

/** One line of the registry's access log. */
interface RegistryRequest {
  readonly method: string;
  /** Includes the query. */
  readonly path: string;
  readonly status: number;
  readonly userAgent: string;
}

export interface Registry {
  /** Host of image names: `127.0.0.1:40123`. */
  readonly host: string;
  /** An HTTP request below `/v2/`, with the first user's credentials. */
  readonly request: (path: string, init?: RequestInit) => Promise<Response>;
  /** Sorted; empty if the repository does not exist. */
  readonly tags: (repository: string) => Promise<readonly string[]>;
  /** The digest of a tag or digest, or `undefined`. */
  readonly digest: (repository: string, reference: string) => Promise<string | undefined>;
  /** Deletes the manifest of a tag, and so every tag of that manifest. */
  readonly remove: (repository: string, tag: string) => Promise<void>;
  /** Requests since the start or the last `forgetRequests`, without those of the test. */
  readonly requests: () => Promise<readonly RegistryRequest[]>;
  readonly forgetRequests: () => Promise<void>;
  /** Stops the server and keeps its data for the next `start`. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>;
  /** Starts it again on the same port with the same data. */
  readonly start: () => Promise<void>;
}

/** The `Accept` header of current clients. */
export const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

/** Marks requests of the test. */
const ownUserAgent = 'image-cloner-test';
const tagsSchema = v.object({ tags: v.nullish(v.array(v.string())) });

/** Starts a distribution registry with plain http. */
export async function startRegistry(options: RegistryOptions = {}): Promise<Registry> {
  const { users = [], dir = createTempDir('registry'), address = '127.0.0.1' } = options;
  const { program = 'docker-registry', deletes = true } = options;
  const host = `${address}:${options.port ?? (await findFreePort())}`;
  const configFile = join(dir, 'config.json');
  const config = {
    version: '0.1',
    log: { level: 'info' },
    storage: { filesystem: { rootdirectory: join(dir, 'data') }, delete: { enabled: deletes } },
    http: { addr: host, secret: 'uploads outlive a restart' },
    ...(users.length > 0 && {
      auth: { htpasswd: { realm: 'test', path: await writeHtpasswd(dir, users) } },
    }),
  };
  // JSON is YAML.
  await writeFile(configFile, JSON.stringify(config));
  const server = await startRestartable({
    program,
    args: ['serve', configFile],
    dir,
    isReady: async () =>
      (await probe(`http://${host}/`, { headers: { 'user-agent': ownUserAgent } })) === 200,
  });
  const [user] = users;
  const authorization =
    user && `Basic ${Buffer.from(`${user.name}:${user.password}`).toString('base64')}`;
  let forgotten = 0;

  const request = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    headers.set('user-agent', ownUserAgent);
    if (authorization !== undefined) headers.set('authorization', authorization);
    return await fetch(new URL(path, `http://${host}/v2/`), { ...init, headers });
  };

  const digest: Registry['digest'] = async (repository, reference) => {
    const response = await request(`${repository}/manifests/${reference}`, {
      method: 'HEAD',
      headers: { accept: manifestTypes },
    });
    if (response.status === 404) return undefined;
    expectOk(response);
    return response.headers.get('docker-content-digest') ?? undefined;
  };

  /** The log is written after the response, so a marked request flushes it. */
  const readLog = async (): Promise<readonly RegistryRequest[]> => {
    const mark = `/mark/${randomUUID()}`;
    await probe(`http://${host}${mark}`, { headers: { 'user-agent': ownUserAgent } });
    return await eventually('the access log is complete', () => {
      const lines = parseAccessLog(readFileSync(join(dir, 'stdout.log'), 'utf8'));
      return lines.some(({ path }) => path === mark) ? lines : undefined;
    });
  };

  return {
    host,
    request,
    digest,
    tags: async (repository) => {
      const response = await request(`${repository}/tags/list`);
      if (response.status === 404) return [];
      expectOk(response);
      return (v.parse(tagsSchema, await response.json()).tags ?? []).toSorted();
    },
    remove: async (repository, tag) => {
      const held = await digest(repository, tag);
      if (held === undefined) throw new Error(`${host}/${repository}:${tag} does not exist`);
      expectOk(await request(`${repository}/manifests/${held}`, { method: 'DELETE' }));
    },
    requests: async () =>
      (await readLog()).slice(forgotten).filter(({ userAgent }) => userAgent !== ownUserAgent),
    forgetRequests: async () => {
      forgotten = (await readLog()).length;
    },
    stop: server.stop,
    start: server.start,
  };
}

/** bcrypt at its lowest cost, because the registry checks it at each request. */
export async function writeHtpasswd(dir: string, users: readonly RegistryUser[]): Promise<string> {
  const file = join(dir, 'htpasswd');
  const lines = await Promise.all(
    users.map(({ name, password }) => runOrThrow('htpasswd', ['-Bbn', '-C', '4', name, password])),
  );
  await writeFile(file, lines.map((line) => line.trim()).join('\n'));
  return file;
}

/** Apache's combined format: `1.2.3.4 - - [date] "GET /v2/ HTTP/1.1" 200 2 "" "docker/20.10"`. */
function parseAccessLog(text: string): readonly RegistryRequest[] {
  const line = /^\S+ \S+ \S+ \[[^\]]*\] "(\S+) (\S+) [^"]*" (\d+) \d+ "[^"]*" "([^"]*)"/gm;
  return [...text.matchAll(line)].map(([, method = '', path = '', status, userAgent = '']) => ({
    method,
    path,
    status: Number(status),
    userAgent,
  }));
}

function expectOk(response: Response): void {
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}`);
}
