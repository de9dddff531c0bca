import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';

/** A registry behind the fake docker daemon. */
interface FakeRegistry {
  /** `path:tag` → digest. */
  readonly tags: Map<string, string>;
  /** Required credentials. @default anonymous access */
  readonly user?: { readonly username: string; readonly password: string };
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** An HTTP server on a unix socket with responses recorded from dockerd 20.10.24. */
export interface FakeDaemon {
  readonly socketPath: string;
  readonly registries: Map<string, FakeRegistry>;
  /** Names of local images: `host/path:tag` and `host/path@digest` → image ID. */
  readonly local: Map<string, string>;
  /** `GET /distribution/…`, in the order of arrival. */
  readonly requests: readonly string[];
  /** The decoded `X-Registry-Auth` of each request that had one. */
  readonly auths: readonly unknown[];
  /** Adds an image to a registry and returns its digest. An index has another digest than its image. */
  publish(host: string, path: string, tag: string, options?: PublishOptions): string;
  /** Handles matching requests instead of the daemon. */
  override(match: RegExp, handler: Handler): void;
  close(): Promise<void>;
}

interface PublishOptions {
  /** @default the path and tag */
  readonly content?: string;
  readonly isIndex?: boolean;
}

const authSchema = v.object({
  username: v.optional(v.string(), ''),
  password: v.optional(v.string(), ''),
});

const layerBytes = 300_000;

export async function startFakeDaemon(): Promise<FakeDaemon> {
  const dir = await mkdtemp(join(tmpdir(), 'fake-daemon-'));
  const socketPath = join(dir, 'docker.sock');
  const registries = new Map<string, FakeRegistry>();
  const local = new Map<string, string>();
  const images = new Map<string, { readonly id: string; readonly isIndex: boolean }>();
  /** Images whose last name moved to another image; docker lists them as `<none>`. */
  const dangling = new Set<string>();
  const requests: string[] = [];
  const auths: unknown[] = [];
  const overrides: { readonly match: RegExp; readonly handler: Handler }[] = [];

  const server = createServer((request, response) => {
    const line = `${request.method ?? ''} ${decodeURIComponent(request.url ?? '')}`;
    const override = overrides.find(({ match }) => match.test(line))?.handler;
    if (override === undefined && request.url === '/_ping') return json(response, 200, 'OK');
    requests.push(line);
    const header = request.headers['x-registry-auth'];
    if (typeof header === 'string') auths.push(decodeAuth(header));
    (override ?? handle)(request, response);
  });

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', 'http://daemon');
    const path = decodeURIComponent(url.pathname);
    const auth = v.parse(authSchema, decodeAuth(String(request.headers['x-registry-auth'] ?? '')));
    const named = /^\/(?:distribution|images)\/(.+?)(?:\/(json|tag|push))?$/.exec(path);
    const [, name = '', verb] = named ?? [];
    if (path.startsWith('/distribution/')) return distribution(response, name, auth);
    if (path === '/images/create') {
      const version = url.searchParams.get('tag') ?? '';
      const separator = version.startsWith('sha256:') ? '@' : ':';
      return pull(response, `${url.searchParams.get('fromImage')}${separator}${version}`, auth);
    }
    if (verb === 'json') return inspect(response, name);
    if (verb === 'tag') {
      return tag(response, name, `${url.searchParams.get('repo')}:${url.searchParams.get('tag')}`);
    }
    if (verb === 'push') return push(response, `${name}:${url.searchParams.get('tag')}`, auth);
    if (request.method === 'DELETE') return remove(response, name);
    return json(response, 404, { message: 'page not found' });
  }

  function distribution(response: ServerResponse, name: string, auth: Auth): void {
    const found = resolve(name, auth);
    if ('status' in found) return json(response, found.status, { message: found.message });
    const kind = images.get(found.digest)?.isIndex === true ? 'index' : 'manifest';
    return json(response, 200, {
      Descriptor: {
        mediaType: `application/vnd.oci.image.${kind}.v1+json`,
        digest: found.digest,
        size: 404,
      },
      Platforms: null,
    });
  }

  function pull(response: ServerResponse, name: string, auth: Auth): void {
    const found = resolve(name, auth);
    if ('status' in found) {
      const text =
        found.status === 404 ? `manifest for ${name} not found: ${found.message}` : found.message;
      return json(response, found.status === 404 ? 404 : 500, { message: text });
    }
    const id = images.get(found.digest)?.id ?? '';
    const isKnown = [...local.values()].includes(id);
    local.set(name, id);
    const layer = id.slice('sha256:'.length, 'sha256:'.length + 12);
    return lines(response, [
      { status: 'Pulling from …', id: name },
      ...(isKnown
        ? [{ status: 'Already exists', progressDetail: {}, id: layer }]
        : [
            { status: 'Pulling fs layer', progressDetail: {}, id: layer },
            downloading(layer, 100_000),
            { status: 'Download complete', progressDetail: {}, id: layer },
            { status: 'Pull complete', progressDetail: {}, id: layer },
          ]),
      { status: `Digest: ${found.digest}` },
      { status: `Status: Downloaded newer image for ${name}` },
    ]);
  }

  function push(response: ServerResponse, name: string, auth: Auth): void {
    const { host, path, version } = split(name);
    const refers = { status: `The push refers to repository [${host}/${path}]` };
    const id = local.get(name);
    if (id === undefined) {
      return fail(
        response,
        [refers],
        `tag does not exist: An image does not exist locally with the tag: ${host}/${path}`,
      );
    }
    const registry = registries.get(host);
    if (registry === undefined) {
      return fail(
        response,
        [refers],
        `Get "http://${host}/v2/": dial tcp ${host}: connect: connection refused`,
      );
    }
    const problem = refusal(registry, auth, 'no basic auth credentials');
    if (problem !== undefined) return fail(response, [refers], problem.message);
    const digest = pushedDigest(id);
    const layer = id.slice('sha256:'.length, 'sha256:'.length + 12);
    const isThere = [...registry.tags].some(
      ([known, held]) => known.startsWith(`${path}:`) && held === digest,
    );
    registry.tags.set(`${path}:${version}`, digest);
    images.set(digest, { id, isIndex: false });
    local.set(`${host}/${path}@${digest}`, id);
    return lines(response, [
      refers,
      { status: 'Preparing', progressDetail: {}, id: layer },
      ...(isThere
        ? [{ status: 'Layer already exists', progressDetail: {}, id: layer }]
        : [
            {
              status: 'Pushing',
              progressDetail: { current: 33_280, total: layerBytes },
              id: layer,
            },
            {
              status: 'Pushing',
              progressDetail: { current: 307_200, total: layerBytes },
              id: layer,
            },
            { status: 'Pushed', progressDetail: {}, id: layer },
          ]),
      { status: `${version}: digest: ${digest} size: 526` },
      { progressDetail: {}, aux: { Tag: version, Digest: digest, Size: 526 } },
    ]);
  }

  function inspect(response: ServerResponse, name: string): void {
    const id = local.get(name) ?? [...local.values()].find((known) => known === name);
    if (id === undefined) return json(response, 404, { message: `no such image: ${name}` });
    return json(response, 200, { Id: id, RepoTags: [], RepoDigests: [] });
  }

  function tag(response: ServerResponse, name: string, target: string): void {
    const known = new Set([...local.values(), ...dangling]);
    const id = local.get(name) ?? (known.has(name) ? name : undefined);
    if (id === undefined) return json(response, 404, { message: `No such image: ${name}` });
    const before = local.get(target);
    if (before !== undefined) dangling.add(before);
    local.set(target, id);
    response.writeHead(201).end();
  }

  /** Removing the last tag of a repository removes its digests too. */
  function remove(response: ServerResponse, name: string): void {
    if (!local.delete(name)) return json(response, 404, { message: `No such image: ${name}` });
    const { host, path } = split(name);
    const rest = [...local.keys()].filter((known) => isOf(known, `${host}/${path}`));
    if (rest.every((known) => known.includes('@'))) for (const known of rest) local.delete(known);
    return json(response, 200, [{ Untagged: name }]);
  }

  function resolve(name: string, auth: Auth): { readonly digest: string } | Problem {
    const { host, path, version } = split(name);
    const registry = registries.get(host);
    if (registry === undefined) {
      return {
        status: 500,
        message: `Get "http://${host}/v2/": dial tcp ${host}: connect: connection refused`,
      };
    }
    const head = `Head "http://${host}/v2/${path}/manifests/${version}": no basic auth credentials`;
    const problem = refusal(registry, auth, head);
    if (problem !== undefined) return problem;
    const held = [...registry.tags].filter(([known]) => known.startsWith(`${path}:`));
    const digest = version.startsWith('sha256:')
      ? held.map(([, known]) => known).find((known) => known === version)
      : registry.tags.get(`${path}:${version}`);
    return digest === undefined
      ? { status: 404, message: 'manifest unknown: manifest unknown' }
      : { digest };
  }

  const listening = Promise.withResolvers<undefined>();
  server.listen(socketPath, () => listening.resolve(undefined));
  await listening.promise;

  return {
    socketPath,
    registries,
    local,
    requests,
    auths,
    publish(host, path, version, { content = `${path}:${version}`, isIndex = false } = {}) {
      const id = sha256(`image ${content}`);
      const digest = sha256(`${isIndex ? 'index' : 'manifest'} of ${content}`);
      images.set(digest, { id, isIndex });
      registries.get(host)?.tags.set(`${path}:${version}`, digest);
      return digest;
    },
    override(match, handler) {
      overrides.unshift({ match, handler });
    },
    async close() {
      const closed = Promise.withResolvers<undefined>();
      server.close(() => closed.resolve(undefined));
      server.closeAllConnections();
      await closed.promise;
      await rm(dir, { recursive: true });
    },
  };
}

/** The daemon writes a new manifest, which is the same for each push of an image. */
function pushedDigest(id: string): string {
  return sha256(`schema2 of ${id}`);
}

/** Responds with JSON lines, as pull and push do. */
export function lines(response: ServerResponse, items: readonly unknown[]): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(items.map((item) => `${JSON.stringify(item)}\r\n`).join(''));
}

/** Responds with JSON lines that end in the daemon's error line. */
export function fail(response: ServerResponse, items: readonly unknown[], message: string): void {
  lines(response, [...items, { errorDetail: { message }, error: message }]);
}

export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

export function downloading(id: string, current: number): unknown {
  return {
    status: 'Downloading',
    progressDetail: { current, total: layerBytes },
    progress: '[>  ]',
    id,
  };
}

type Auth = v.InferOutput<typeof authSchema>;

interface Problem {
  readonly status: number;
  readonly message: string;
}

function refusal({ user }: FakeRegistry, auth: Auth, withoutAuth: string): Problem | undefined {
  if (user === undefined) return undefined;
  if (auth.username === '') return { status: 500, message: withoutAuth };
  const fits = auth.username === user.username && auth.password === user.password;
  return fits ? undefined : { status: 401, message: 'unauthorized: authentication required' };
}

function split(name: string): {
  readonly host: string;
  readonly path: string;
  readonly version: string;
} {
  const match = /^([^/]+)\/(.+?)(?:@(sha256:[0-9a-f]+)|:([\w.-]+))$/.exec(name);
  const [, host = '', path = '', digest, tag] = match ?? [];
  return { host, path, version: digest ?? tag ?? '' };
}

function isOf(name: string, repository: string): boolean {
  const { host, path } = split(name);
  return `${host}/${path}` === repository;
}

function decodeAuth(header: string): unknown {
  return header === '' ? {} : JSON.parse(Buffer.from(header, 'base64url').toString('utf8'));
}

function sha256(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
