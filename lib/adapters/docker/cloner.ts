import type Docker from 'dockerode';
import * as v from 'valibot';
import { CloneError } from '../../errors.ts';
import { isDigest } from '../../image/digest.ts';
import { canonicalRepository, type Reference } from '../../image/reference.ts';
import type {
  CopyProgress,
  CopyRequest,
  CopyResult,
  ImageCloner,
  RegistryAccess,
} from '../../ports/index.ts';
import { createKeyedMutex } from '../../util/keyed-mutex.ts';
import { createResolve } from './distribution.ts';
import { type Attempt, isNotLocal, toCloneError } from './failure.ts';
import { toAuthConfig, toName } from './names.ts';
import { createLayerProgress } from './progress.ts';
import { readLines } from './stream.ts';

export interface DockerClonerOptions {
  /** Narrowed to what is used. */
  readonly docker: Pick<Docker, 'getImage' | 'pull' | 'modem'>;
}

type Progress = (progress: CopyProgress) => void;

const inspectSchema = v.object({ Id: v.string() });

/**
 * Copies through the docker socket: pull, tag, push. The daemon takes its own platform out of an index and writes the
 * manifest anew, so the copy's digest is not the source's. It needs nothing but the socket, and that is root on its node.
 */
export function createDockerCloner({ docker }: DockerClonerOptions): ImageCloner {
  const locks = createKeyedMutex();
  const resolve = createResolve(docker);

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
      return await pushAs(id, { domain, path, tag: firstTag }, access, async ({ digest }) => {
        for (const tag of await moreTags(digest)) {
          const next = await pushAs(id, { domain, path, tag }, access);
          if (next.digest !== digest) throw otherDigest({ domain, path, tag });
        }
      });
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
    await translateFailures({ side, image: source }, signal, async () => {
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
        await translateFailures({ side, image: target }, signal, async () => {
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
        // Nobody but we gives the first name: where it was there before, a process was killed in the middle of this copy.
        const isLeftover = afterwards !== undefined;
        if (before === undefined || isLeftover) await untag(name);
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
async function translateFailures(
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

function otherDigest(image: Reference): CloneError {
  return new CloneError(
    'BACKUP_REFUSED',
    `the docker daemon pushed two different images as one to ${canonicalRepository(image)}; it was left as it was`,
  );
}
