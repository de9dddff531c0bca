import { CloneError, isFailureOf } from '../../errors.ts';
import { canonicalRepository, type Repository } from '../../image/reference.ts';
import type { ImageCloner } from '../../ports/index.ts';
import { untilAborted } from '../../util/abort.ts';
import { createSingleFlight } from '../../util/single-flight.ts';

export interface Repositories {
  /** Whether the repository is in the backup. */
  isOwn(repository: Repository): boolean;
  /** Resolves if the repository exists already. Rejects with a `CloneError` `BACKUP_…`. */
  create(repository: Repository, signal: AbortSignal): Promise<void>;
}

const timeoutMs = 20_000;

/**
 * Creates a repository of Amazon ECR when the first push finds none, and pushes once more. The push comes first, because an
 * account can have repositories created on push, by templates of its own.
 */
export function withRepositories(
  cloner: ImageCloner,
  { isOwn, create }: Repositories,
): ImageCloner {
  const { mark } = cloner;
  const creations = createSingleFlight<void>();

  async function push<Result>(
    target: Repository,
    signal: AbortSignal,
    work: () => Promise<Result>,
  ): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (!isOwn(target) || !isFailureOf('backup', error, ['NOT_FOUND'])) throw error;
    }
    const { domain, path } = target;
    const creation = creations.run(canonicalRepository(target), () =>
      create({ domain, path }, AbortSignal.timeout(timeoutMs)),
    );
    await untilAborted(creation, signal);
    try {
      return await work();
    } catch (error) {
      if (!isFailureOf('backup', error, ['NOT_FOUND'])) throw error;
      throw new CloneError(
        'BACKUP_NOT_FOUND',
        `the repository ${path} exists for the identity, but the backup registry ${domain} does not have it: check that REGISTRY names the account and region of the identity`,
        { cause: error },
      );
    }
  }

  return {
    ...cloner,
    copy: (request, signal, onProgress) =>
      push(request.target, signal, () => cloner.copy(request, signal, onProgress)),
    ...(mark !== undefined && {
      mark: (target, tags, access, signal) =>
        push(target, signal, () => mark(target, tags, access, signal)),
    }),
  };
}
