import type { Reference } from '../../../image/reference.ts';
import type { RegistryAccess } from '../../../ports/index.ts';
import { type ErrorContext, toCloneError } from '../errors/index.ts';
import type { OpenRepository, RetryPolicy } from './client-pool.ts';
import type { RepositoryClient } from './repository-client.ts';

/** Opens a client that throws `CloneError`s with their side. Errors name `image`. */
export async function openWithSideErrors(
  openRepository: OpenRepository,
  image: Reference,
  access: RegistryAccess,
  retryPolicy: RetryPolicy,
  signal: AbortSignal,
): Promise<RepositoryClient> {
  const read = { side: access.side, image };
  const write = { ...read, isWrite: true };

  function sided<Given extends readonly unknown[], Result>(
    verb: (...given: [...Given, AbortSignal]) => Promise<Result>,
    context: ErrorContext = read,
  ): (...given: [...Given, AbortSignal]) => Promise<Result> {
    return async (...given) => {
      try {
        return await verb(...given);
      } catch (error) {
        const signal = given.at(-1);
        if (signal instanceof AbortSignal) signal.throwIfAborted();
        throw toCloneError(error, context);
      }
    };
  }

  const open = sided(openRepository);
  const client = await open(image, access, retryPolicy, signal);
  return {
    headManifest: sided(client.headManifest),
    resolveManifest: sided(client.resolveManifest),
    resolveConfirmed: sided(client.resolveConfirmed),
    getManifest: sided(client.getManifest),
    getChild: sided(client.getChild),
    putManifest: sided(client.putManifest, write),
    hasManifest: sided(client.hasManifest),
    assertStored: sided(client.assertStored),
    hasBlob: sided(client.hasBlob),
    lacksBlob: sided(client.lacksBlob),
    openBlob: sided(client.openBlob),
    openPart: sided(client.openPart),
    mountBlob: sided(client.mountBlob, write),
    startUpload: sided(client.startUpload, write),
    finishUpload: sided(client.finishUpload, write),
    cancelUpload: client.cancelUpload,
    getReferrers: sided(client.getReferrers),
    listTags: sided(client.listTags),
    listRepositories: sided(client.listRepositories),
    deleteManifest: sided(client.deleteManifest, write),
  };
}
