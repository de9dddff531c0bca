import { CloneError, describeRegistry, isFailureOf } from '../../errors.ts';
import { cloudOf } from '../../image/cloud-registry.ts';
import { formatReference, type Reference } from '../../image/reference.ts';
import type { CopiedImage, Credentials, ImageCloner, RegistryAccess } from '../../ports/index.ts';
import { toSafeText } from './identity-error.ts';

export interface Renewal {
  hasIssued(credentials: Credentials): boolean;
  renew(
    domain: string,
    refused: Credentials,
    signal: AbortSignal,
  ): Promise<Credentials | undefined>;
}

const maxReasonLength = 200;

/** Repeats a call once with new credentials after a registry refused those of an identity. */
export function withRenewal(cloner: ImageCloner, { hasIssued, renew }: Renewal): ImageCloner {
  const { isComplete, mark, listTags } = cloner;

  async function call<Result>(
    image: Reference,
    access: RegistryAccess,
    signal: AbortSignal,
    work: (access: RegistryAccess) => Promise<Result>,
  ): Promise<Result> {
    const { side, credentials } = access;
    if (credentials === undefined || !hasIssued(credentials)) return await work(access);
    try {
      return await work(access);
    } catch (error) {
      if (!isFailureOf(side, error, ['DENIED'])) throw error;
      const renewed = await renew(image.domain, credentials, signal);
      if (renewed === undefined) throw toRefusal(error, image, access);
      try {
        return await work({ ...access, credentials: renewed });
      } catch (second) {
        throw isFailureOf(side, second, ['DENIED']) ? toRefusal(second, image, access) : second;
      }
    }
  }

  return {
    ...cloner,
    resolve: (image, access, signal, options) =>
      call(image, access, signal, (renewed) => cloner.resolve(image, renewed, signal, options)),
    async copy(request, signal, onProgress) {
      const { source, sourceAccess, target, targetAccess } = request;
      const copyWith = (access: RegistryAccess): Promise<CopiedImage> =>
        call(source, sourceAccess, signal, (renewed) =>
          cloner.copy(
            { ...request, sourceAccess: renewed, targetAccess: access },
            signal,
            onProgress,
          ),
        );
      const copied = await call(target, targetAccess, signal, copyWith);
      return {
        ...copied,
        // The credentials may have ended during the copy. By then a second copy finds everything in the target.
        writeTags: (tags, within) =>
          call(target, targetAccess, within, async (access) => {
            if (access === targetAccess) return await copied.writeTags(tags, within);
            const again = await copyWith(access);
            try {
              await again.writeTags(tags, within);
            } finally {
              await again.release();
            }
          }),
      };
    },
    ...(isComplete !== undefined && {
      isComplete: (image, access, signal) =>
        call(image, access, signal, (renewed) => isComplete(image, renewed, signal)),
    }),
    ...(mark !== undefined && {
      mark: (target, tags, access, signal) =>
        call(target, access, signal, (renewed) => mark(target, tags, renewed, signal)),
    }),
    ...(listTags !== undefined && {
      listTags: (target, access, signal) =>
        call(target, access, signal, (renewed) => listTags(target, renewed, signal)),
    }),
  };
}

/** The adapters' own messages give advice about passwords. */
function toRefusal(error: CloneError, image: Reference, { side }: RegistryAccess): CloneError {
  const { domain } = image;
  const { cause } = error;
  const reason = cause instanceof Error ? toSafeText(cause.message, maxReasonLength) : '';
  const setting =
    side === 'backup' ? `REGISTRY_AUTH=${cloudOf(domain) ?? ''}` : 'SOURCE_CLOUD_AUTH';
  const message = `${describeRegistry(side, domain)} denied the cloud identity (${setting}) access to ${formatReference(image)}${reason === '' ? '' : ` (${reason})`}: give the identity the right to ${side === 'backup' ? 'push and pull' : 'pull'} there`;
  return new CloneError(error.code, message, { cause: error });
}
