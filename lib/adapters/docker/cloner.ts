import type Docker from 'dockerode';
import type { AuthConfig } from 'dockerode';
import * as v from 'valibot';
import { createLocks } from '../../cloner/locks.ts';
import { CloneError } from '../../errors.ts';
import { canonicalRepository, dockerHub, isDigest, type Reference } from '../../image/reference.ts';
import type {
  CopyProgress,
  CopyRequest,
  CopyResult,
  Credentials,
  ImageCloner,
  RegistryAccess,
  ResolvedImage,
} from '../../ports.ts';
import { type Attempt, isNotLocal, toCloneError } from './failure.ts';
import { createLayerProgress } from './progress.ts';
import { readLines } from './stream.ts';

export interface DockerClonerOptions {
  /** Narrowed to what is used. */
  readonly docker: Pick<Docker, 'getImage' | 'pull' | 'modem'>;
}

type Progress = (progress: CopyProgress) => void;

/** Answer of `GET /distribution/{name}/json`; `Platforms` is null for a single image of an OCI type. */
const distributionSchema = v.object({
  Descriptor: v.object({
    mediaType: v.optional(v.string(), ''),
    digest: v.pipe(v.string(), v.check(isDigest, 'is not a digest')),
  }),
});

const inspectSchema = v.object({ Id: v.string() });

const indexTypes = new Set([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]);

/**
 * Copies through the docker socket: pull, tag, push. The daemon takes its own platform out of an index and writes the
 * manifest anew, so the copy's digest is not the source's. It needs nothing but the socket, and that is root on its node.
 */
export function createDockerCloner({ docker }: DockerClonerOptions): ImageCloner {
  const locks = createLocks();

  async function resolve(
    image: Reference,
    { side, credentials }: RegistryAccess,
    signal: AbortSignal,
  ): Promise<ResolvedImage | undefined> {
    signal.throwIfAborted();
    const name = toName(image);
    try {
      const answer = await dial(docker, {
        path: `/distribution/${name}/json`,
        method: 'GET',
        statusCodes: { 200: true },
        // Without the header dockerd would ask with its own credentials, if it had any.
        authconfig: toAuthConfig(image, credentials),
        abortSignal: signal,
      });
      const { Descriptor } = v.parse(distributionSchema, answer);
      return { digest: Descriptor.digest, isIndex: indexTypes.has(Descriptor.mediaType) };
    } catch (error) {
      signal.throwIfAborted();
      const failure = toCloneError(error, { side, image });
      if (failure.code.endsWith('_NOT_FOUND')) return undefined;
      throw failure;
    }
  }

  async function copy(
    request: CopyRequest,
    signal: AbortSignal,
    onProgress: Progress,
  ): Promise<CopyResult> {
    // Two copies of one source would remove each other's local image.
    return await locks.run(toName(request.source), async () => {
      try {
        return await copyOnce(request, signal, onProgress);
      } catch (error) {
        if (!(error instanceof LocalImageGone)) throw error;
        // The node's image garbage collection was faster; once is bad luck, twice is a full disk.
        return await copyOnce(request, signal, onProgress);
      }
    });
  }

  async function copyOnce(
    { source, sourceAccess, target, targetAccess, firstTag, moreTags }: CopyRequest,
    signal: AbortSignal,
    onProgress: Progress,
  ): Promise<CopyResult> {
    const name = toName(source);
    const wasThere = (await findId(name)) !== undefined;
    try {
      await pull(source, sourceAccess, signal, onProgress);
      const id = await findId(name);
      if (id === undefined) throw new LocalImageGone(name);

      const { domain, path } = target;
      const access = { ...targetAccess, signal, onProgress };
      // The first name stays until the last is pushed: with a repository's last tag the daemon drops its digests too,
      // and an image that was pulled from there by digest would be gone.
      const first = { domain, path, tag: firstTag };
      try {
        return await pushAs(id, first, access, async ({ digest }) => {
          for (const tag of await moreTags(digest)) {
            const next = await pushAs(id, { domain, path, tag }, access);
            if (next.digest !== digest) throw otherDigest({ domain, path, tag });
          }
        });
      } finally {
        // Nobody but we gives that name: where it was there before, a process was killed in the middle of this copy.
        await untag(toName(first));
      }
    } finally {
      if (!wasThere) await untag(name);
    }
  }

  async function pull(
    source: Reference,
    { side, credentials }: RegistryAccess,
    signal: AbortSignal,
    onProgress: Progress,
  ): Promise<void> {
    const layers = createLayerProgress('pull');
    let isComplete = false;
    await follow({ side, image: source }, signal, async () => {
      const stream = await docker.pull(toName(source), {
        authconfig: toAuthConfig(source, credentials),
        abortSignal: signal,
      });
      await readLines(stream, (line) => {
        const progress = layers.add(line);
        if (progress !== undefined) onProgress(progress);
        isComplete ||= line.status.startsWith('Status: ');
      });
      if (!isComplete)
        throw new Error('unexpected EOF: the daemon ended the pull without a result');
    });
  }

  /** Gives the local image its name in the backup for as long as the push takes, and what is done after it. */
  async function pushAs(
    id: string,
    target: Reference & { readonly tag: string },
    { side, credentials, signal, onProgress }: RegistryAccess & PushContext,
    afterwards?: (pushed: CopyResult) => Promise<void>,
  ): Promise<CopyResult> {
    const name = toName(target);
    return await locks.run(name, async () => {
      const before = await findId(name);
      const layers = createLayerProgress('push');
      let digest: string | undefined;
      try {
        await setTag(id, target);
        await follow({ side, image: target }, signal, async () => {
          const stream = await docker.getImage(canonicalRepository(target)).push({
            tag: target.tag,
            authconfig: toAuthConfig(target, credentials),
            abortSignal: signal,
          });
          await readLines(stream, (line) => {
            const progress = layers.add(line);
            if (progress !== undefined) onProgress(progress);
            // The containerd image store sends no `aux`, only the line for people.
            const said = line.aux?.Digest ?? /digest: (\S+)/.exec(line.status)?.[1];
            if (said !== undefined && isDigest(said)) digest = said;
          });
        });
        if (digest === undefined) {
          throw toCloneError(
            new Error('unexpected EOF: the daemon ended the push without a result'),
            { side, image: target },
          );
        }
        const pushed = { digest, bytes: layers.movedBytes() };
        await afterwards?.(pushed);
        return pushed;
      } finally {
        if (before === undefined) await untag(name);
        else if (before !== id) await setTag(before, target);
      }
    });
  }

  async function setTag(
    id: string,
    { domain, path, tag }: Reference & { readonly tag: string },
  ): Promise<void> {
    try {
      await docker.getImage(id).tag({ repo: canonicalRepository({ domain, path }), tag });
    } catch (error) {
      if (isNotLocal(error)) throw new LocalImageGone(id);
      throw toCloneError(error, { side: 'backup', image: { domain, path, tag } });
    }
  }

  async function findId(name: string): Promise<string | undefined> {
    try {
      return v.parse(inspectSchema, await docker.getImage(name).inspect()).Id;
    } catch (error) {
      if (isNotLocal(error)) return undefined;
      throw new CloneError(
        'CLONER_UNAVAILABLE',
        'the docker daemon cannot be reached; is it running, and is DOCKER_HOST right?',
        { cause: error },
      );
    }
  }

  async function untag(name: string): Promise<void> {
    try {
      // Never by force: 404 means that somebody else did it, 409 that a container uses it, and then it may stay.
      await docker.getImage(name).remove();
    } catch {
      // Nor can a daemon that is gone be tidied; what failed before, or fails next, says so.
    }
  }

  return { keepsDigest: false, resolve, copy };
}

interface PushContext {
  readonly signal: AbortSignal;
  readonly onProgress: Progress;
}

/** Internal: someone removed the local image between our steps. */
class LocalImageGone extends CloneError {
  constructor(image: string) {
    super('CLONER_UNAVAILABLE', 'the docker daemon removed the image while it was being copied', {
      cause: new Error(image),
    });
  }
}

/** A body that ends early, or an abort, arrives as any error at all: the signal tells which it was. */
async function follow(
  attempt: Attempt,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  try {
    signal.throwIfAborted();
    await work();
  } catch (error) {
    signal.throwIfAborted();
    if (isNotLocal(error) && attempt.side === 'backup')
      throw new LocalImageGone(toName(attempt.image));
    throw toCloneError(error, attempt);
  }
}

/** The name that the daemon takes: by digest where there is one, and always with its registry. */
function toName(image: Reference): string {
  const version = image.digest === undefined ? `:${image.tag ?? 'latest'}` : `@${image.digest}`;
  return `${canonicalRepository(image)}${version}`;
}

function toAuthConfig({ domain }: Reference, credentials: Credentials | undefined): AuthConfig {
  const serveraddress = domain === dockerHub ? 'https://index.docker.io/v1/' : domain;
  const { username = '', password = '' } = credentials ?? {};
  return { username, password, serveraddress };
}

function otherDigest(image: Reference): CloneError {
  return new CloneError(
    'BACKUP_REFUSED',
    `the docker daemon pushed two different images as one to ${canonicalRepository(image)}; it was left as it was`,
  );
}

interface DialOptions {
  readonly path: string;
  readonly method: string;
  readonly statusCodes: Readonly<Record<number, true>>;
  readonly authconfig: AuthConfig;
  readonly abortSignal: AbortSignal;
}

interface Dialer {
  dial(options: DialOptions, callback: (error: unknown, data: unknown) => void): void;
}

/** dockerode's own `distribution()` drops the abort signal, and would leave a request behind for each host that hangs. */
function dial({ modem }: Pick<Docker, 'modem'>, options: DialOptions): Promise<unknown> {
  const dialer: unknown = modem;
  if (!isDialer(dialer)) throw new TypeError('dockerode has no modem');
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  dialer.dial(options, (error, data) => {
    if (error === null || error === undefined) resolve(data);
    else reject(error);
  });
  return promise;
}

function isDialer(value: unknown): value is Dialer {
  return typeof value === 'object' && value !== null && 'dial' in value;
}
