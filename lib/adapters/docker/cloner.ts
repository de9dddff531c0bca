import type Docker from 'dockerode';
import * as v from 'valibot';
import { CloneError } from '../../errors.ts';
import { isDigest } from '../../image/digest.ts';
import { canonicalRepository, formatReference, type Reference } from '../../image/reference.ts';
import type {
  CopiedImage,
  CopyProgress,
  CopyRequest,
  ImageCloner,
  RegistryAccess,
} from '../../ports/index.ts';
import { createKeyedMutex } from '../../util/keyed-mutex.ts';
import {
  isNotLocal,
  LocalImageGone,
  toCloneError,
  toUnreachable,
  translateFailures,
} from './daemon-error.ts';
import { createResolve } from './distribution.ts';
import { readLines } from './json-stream.ts';
import { createLayerProgress } from './layer-progress.ts';
import { toAuthConfig, toName } from './names.ts';

export interface DockerClonerOptions {
  /** Narrowed to the calls that are made. */
  readonly docker: Pick<Docker, 'getImage' | 'pull' | 'modem'>;
}

type Progress = (progress: CopyProgress) => void;
type TaggedImage = Reference & { readonly tag: string };

const inspectSchema = v.object({ Id: v.string() });

/**
 * Copies through the docker socket: pull, tag, push. The daemon takes its own platform out of an index and writes a new manifest,
 * so the copy's digest differs from the source's. Access to the socket is root on its node.
 */
export function createDockerCloner({ docker }: DockerClonerOptions): ImageCloner {
  /** Two copies of one source, or to one target tag, would remove each other's local tags. */
  const names = createKeyedMutex();
  const resolve = createResolve(docker);

  async function copy(
    request: CopyRequest,
    signal: AbortSignal,
    onProgress: Progress,
  ): Promise<CopiedImage> {
    try {
      return await copyOnce(request, signal, onProgress);
    } catch (error) {
      if (!(error instanceof LocalImageGone)) throw error;
      // The node's image garbage collection removed it; a second time means a full disk.
      return await copyOnce(request, signal, onProgress);
    }
  }

  async function copyOnce(
    { source, sourceAccess, target, targetAccess, firstTag }: CopyRequest,
    signal: AbortSignal,
    onProgress: Progress,
  ): Promise<CopiedImage> {
    const { domain, path } = target;
    const first = { domain, path, tag: firstTag };
    const cleanUps: (() => Promise<void> | void)[] = [];
    const release = async (): Promise<void> => {
      for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
    };
    try {
      cleanUps.push(await names.acquire(toName(source)));
      const wasThere = (await findId(toName(source))) !== undefined;
      cleanUps.push(() => (wasThere ? undefined : untag(toName(source))));
      let pulledBytes = 0;
      const onPull: Progress = (progress) => {
        pulledBytes = progress.totalBytes;
        onProgress(progress);
      };
      const pullAndFind = async (within: AbortSignal): Promise<string> => {
        await pull(source, sourceAccess, within, onPull);
        const found = await findId(toName(source));
        if (found === undefined) throw new LocalImageGone(toName(source));
        return found;
      };
      let id = await pullAndFind(signal);
      let isPulledAgain = false;

      // With a repository's last tag the daemon drops its digests, and an image pulled from there by digest: the first tag stays
      // until `release`. No other process writes it, so one that exists is left over from a copy that was killed.
      cleanUps.push(await names.acquire(toName(first)), () => untag(toName(first)));
      await setTag(id, first);
      const pushed = await push(first, targetAccess, signal, { onProgress, pulledBytes });
      return {
        ...pushed,
        warnings: [],
        async writeTags(tags, within) {
          for (const tag of tags) {
            const named = { domain, path, tag };
            const next = await pushAs(id, named, targetAccess, within).catch(async (error) => {
              if (!(error instanceof LocalImageGone) || isPulledAgain) throw error;
              isPulledAgain = true;
              id = await pullAndFind(within);
              await setTag(id, first);
              // The pull may have taken minutes, so the caller chooses the tags again.
              throw new LocalImageGone(toName(named), { isTransient: true });
            });
            if (next.digest !== pushed.digest) throw otherDigest(named);
          }
        },
        release,
      };
    } catch (error) {
      await release();
      throw error;
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

  /** Pushes under a tag that the local image has only for as long as the push takes. */
  async function pushAs(
    id: string,
    target: TaggedImage,
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<PushedImage> {
    const name = toName(target);
    return await names.run(name, async () => {
      const before = await findId(name);
      try {
        await setTag(id, target);
        return await push(target, access, signal);
      } finally {
        if (before === undefined) await untag(name);
        else if (before !== id) await setTag(before, target);
      }
    });
  }

  async function push(
    target: TaggedImage,
    { side, credentials }: RegistryAccess,
    signal: AbortSignal,
    { onProgress = () => undefined, pulledBytes = 0 }: PushOptions = {},
  ): Promise<PushedImage> {
    const layers = createLayerProgress('push', pulledBytes);
    let digest: string | undefined;
    await translateFailures({ side, image: target }, signal, async () => {
      const stream = await docker.getImage(canonicalRepository(target)).push({
        tag: target.tag,
        authconfig: toAuthConfig(target, credentials),
        abortSignal: signal,
      });
      await readLines(stream, (line) => {
        const progress = layers.add(line);
        if (progress !== undefined) onProgress(progress);
        // The containerd image store sends no `aux`, only the status line.
        const reported = line.aux?.Digest ?? /digest: (\S+)/.exec(line.status)?.[1];
        if (reported !== undefined && isDigest(reported)) digest = reported;
      });
    });
    if (digest !== undefined) return { digest, bytes: layers.movedBytes() };
    const cause = new Error('unexpected EOF: the daemon ended the push without a result');
    throw toCloneError(cause, { side, image: target });
  }

  async function setTag(id: string, { domain, path, tag }: TaggedImage): Promise<void> {
    try {
      await docker.getImage(id).tag({ repo: canonicalRepository({ domain, path }), tag });
    } catch (error) {
      if (isNotLocal(error)) throw new LocalImageGone(toName({ domain, path, tag }));
      throw toCloneError(error, { side: 'backup', image: { domain, path, tag } });
    }
  }

  async function findId(name: string): Promise<string | undefined> {
    try {
      return v.parse(inspectSchema, await docker.getImage(name).inspect()).Id;
    } catch (error) {
      if (isNotLocal(error)) return undefined;
      throw toUnreachable(error);
    }
  }

  async function untag(name: string): Promise<void> {
    try {
      // Without force: 404 means that it is gone, 409 that a container uses it, and then it stays.
      await docker.getImage(name).remove();
    } catch {
      // The call that failed before, or fails next, reports a daemon that is gone.
    }
  }

  // The daemon brings its own platform, and shows its digest after the push.
  return { selection: { originOf: (digest) => digest }, resolve, copy };
}

interface PushOptions {
  readonly onProgress?: Progress;
  /** The size of the pulled layers. */
  readonly pulledBytes?: number;
}

type PushedImage = Pick<CopiedImage, 'digest' | 'bytes'>;

function otherDigest(image: Reference): CloneError {
  return new CloneError(
    'BACKUP_REFUSED',
    `the docker daemon pushed one image with two digests to ${formatReference(image)}: the tag may be inconsistent; apply again`,
  );
}
