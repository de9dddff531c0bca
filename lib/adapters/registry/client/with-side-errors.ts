import { type ErrorContext, toCloneError } from '../errors/index.ts';
import type { RepositoryClient } from './repository-client.ts';

/** Wraps a client so that it throws `CloneError`s with their side. */
export function withSideErrors(
  client: RepositoryClient,
  context: ErrorContext,
  signal: AbortSignal,
): RepositoryClient {
  function sided<Parameters extends readonly unknown[], Result>(
    verb: (...parameters: Parameters) => Promise<Result>,
  ): (...parameters: Parameters) => Promise<Result> {
    return async (...parameters) => {
      try {
        return await verb(...parameters);
      } catch (error) {
        signal.throwIfAborted();
        throw toCloneError(error, context);
      }
    };
  }
  return {
    headManifest: sided(client.headManifest),
    resolveManifest: sided(client.resolveManifest),
    getManifest: sided(client.getManifest),
    putManifest: sided(client.putManifest),
    hasManifest: sided(client.hasManifest),
    hasBlob: sided(client.hasBlob),
    lacksBlob: sided(client.lacksBlob),
    openBlob: sided(client.openBlob),
    mountBlob: sided(client.mountBlob),
    startUpload: sided(client.startUpload),
    finishUpload: sided(client.finishUpload),
    cancelUpload: client.cancelUpload,
    getReferrers: sided(client.getReferrers),
    listTags: sided(client.listTags),
    listRepositories: sided(client.listRepositories),
    deleteManifest: sided(client.deleteManifest),
  };
}
