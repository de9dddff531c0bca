import { CloneError } from '../../errors.ts';
import {
  canonicalRepository,
  formatReference,
  type Reference,
  type Repository,
} from '../../image/reference.ts';
import type {
  CopyProgress,
  CopyRequest,
  CopyResult,
  ImageCloner,
  RegistryAccess,
  ResolvedImage,
} from '../../ports.ts';
import { type Authorizer, createAuthorizer } from './auth.ts';
import { createRepositoryClient, type RepositoryClient } from './client.ts';
import { copyImage } from './copy.ts';
import type { FindEndpoint } from './endpoint.ts';
import { RegistryError, toCloneError } from './failure.ts';
import type { Http } from './http.ts';
import { assertNotSchema1, isIndexType } from './manifest.ts';
import { copyReferrers } from './referrers.ts';
import { createTransport, type TransportOptions } from './transport.ts';
import { withSide } from './with-side.ts';

export interface RegistryClonerOptions {
  readonly http: Http;
  readonly findEndpoint: FindEndpoint;
  /** @default no limit */
  readonly maxImageBytes?: number;
  readonly now?: () => number;
  readonly sleep: TransportOptions['sleep'];
  readonly random?: () => number;
  readonly onAnswer?: TransportOptions['onAnswer'];
}

interface Connection {
  readonly registry: URL;
  readonly authorizer: Authorizer;
}

/** Questions are asked within a review's budget, copies have time. */
const patience = {
  question: { maxAttempts: 2, maxRetryAfterMs: 500 },
  copy: { maxAttempts: 5, maxRetryAfterMs: 60_000 },
};
/** Docker Hub's token server is on another host than its registry. */
const trustedRealms = ['auth.docker.io'];
const maxConnections = 500;

/**
 * Copies from registry to registry: the image as it is, every platform, the same digest, streamed. Nothing touches a disk, and no daemon is needed.
 */
export function createRegistryCloner(options: RegistryClonerOptions): ImageCloner {
  const { http, findEndpoint, maxImageBytes = Number.MAX_SAFE_INTEGER, now = Date.now } = options;
  const connections = new Map<string, Connection>();
  const uploads = new Map<string, Promise<number>>();

  async function resolve(
    image: Reference,
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<ResolvedImage | undefined> {
    const { side } = access;
    try {
      const client = await clientFor(image, access, signal, patience.question);
      const found = await look(client, image.digest ?? image.tag ?? 'latest', signal);
      if (found === undefined) return undefined;
      // Old formats are refused here, before anybody waits for a copy.
      assertNotSchema1(found.mediaType);
      return { digest: found.digest, isIndex: isIndexType(found.mediaType) };
    } catch (error) {
      signal.throwIfAborted();
      // Artifactory says 403 of what is not there; if it was a refusal, the copy will meet it again.
      if (side === 'backup' && error instanceof RegistryError && error.status === 403)
        return undefined;
      throw toCloneError(error, { side, image });
    }
  }

  async function copy(
    request: CopyRequest,
    signal: AbortSignal,
    onProgress: (progress: CopyProgress) => void,
  ): Promise<CopyResult> {
    const { source, target, sourceAccess, targetAccess, firstTag, moreTags } = request;
    const toSourceError = (error: unknown): unknown =>
      toCloneError(error, { side: sourceAccess.side, image: source });
    const from = withSide(
      await connect(source, sourceAccess, signal),
      { side: sourceAccess.side, image: source },
      signal,
    );
    const image = { domain: target.domain, path: target.path, tag: firstTag };
    const to = withSide(
      await connect(target, targetAccess, signal),
      { side: targetAccess.side, image },
      signal,
    );
    const root = await from.getManifest(source.digest, signal);
    if (root === undefined) {
      const code = sourceAccess.side === 'source' ? 'SOURCE_NOT_FOUND' : 'BACKUP_NOT_FOUND';
      throw new CloneError(code, `${formatReference(source)} does not exist on ${source.domain}`);
    }
    const imageCopy = {
      source: from,
      target: to,
      once: (digest: string, upload: () => Promise<number>) =>
        uploadOnce(`${canonicalRepository(target)}@${digest}`, upload),
      mountFrom: source.domain === target.domain ? source.path : undefined,
      maxImageBytes,
      toSourceError,
      signal,
      onProgress: (doneBytes: number, totalBytes: number) =>
        onProgress({ phase: 'copy', doneBytes, totalBytes }),
    };
    const bytes = await orSourceError(() => copyImage(root, imageCopy), toSourceError);
    for (const tag of [firstTag, ...moreTags(root.digest)]) await to.putManifest(tag, root, signal);
    const isWithinBackup = sourceAccess.side === 'backup';
    const warnings = isWithinBackup
      ? []
      : await copyReferrers(root, imageCopy, formatReference(source));
    return { digest: root.digest, bytes, ...(warnings.length > 0 && { warnings }) };
  }

  async function connect(
    repository: Repository,
    access: RegistryAccess,
    signal: AbortSignal,
  ): Promise<RepositoryClient> {
    try {
      return await clientFor(repository, access, signal, patience.copy);
    } catch (error) {
      throw toCloneError(error, { side: access.side, image: repository });
    }
  }

  async function clientFor(
    { domain, path }: Repository,
    { side, credentials }: RegistryAccess,
    signal: AbortSignal,
    limits: Pick<TransportOptions, 'maxAttempts' | 'maxRetryAfterMs'>,
  ): Promise<RepositoryClient> {
    const key = JSON.stringify([domain, side, credentials?.username, credentials?.password]);
    const known = connections.get(key);
    const registry = known?.registry ?? (await findEndpoint(domain, signal));
    const authorizer =
      known?.authorizer ??
      createAuthorizer({
        http,
        registry,
        credentials,
        trustedRealms,
        now,
        isConfigured: side === 'backup',
      });
    connections.delete(key);
    connections.set(key, { registry, authorizer });
    const [oldest] = connections.keys();
    if (connections.size > maxConnections && oldest !== undefined) connections.delete(oldest);
    const send = createTransport({
      http,
      registry,
      authorizer,
      ...limits,
      sleep: options.sleep,
      random: options.random ?? Math.random,
      ...(options.onAnswer !== undefined && { onAnswer: options.onAnswer }),
    });
    return createRepositoryClient(send, registry, path);
  }

  /** Eight uploads of one blob into one repository all succeed, and seven are a waste. */
  function uploadOnce(key: string, upload: () => Promise<number>): Promise<number> {
    const running = uploads.get(key);
    // What it moves is counted by the one who moves it; if it fails, the next has its own try.
    if (running !== undefined)
      return running.then(
        () => 0,
        () => uploadOnce(key, upload),
      );
    const started = upload().finally(() => uploads.delete(key));
    uploads.set(key, started);
    return started;
  }

  return { keepsDigest: true, resolve, copy };
}

/** Some registries refuse a HEAD where they allow a GET. */
async function look(
  client: RepositoryClient,
  reference: string,
  signal: AbortSignal,
): ReturnType<RepositoryClient['headManifest']> {
  try {
    return await client.headManifest(reference, signal);
  } catch (error) {
    const isRefused = error instanceof RegistryError && [401, 403, 405].includes(error.status ?? 0);
    if (!isRefused) throw error;
    return await client.getManifest(reference, signal);
  }
}

/** What is wrong with the image itself is the source's fault. */
async function orSourceError<Result>(
  work: () => Promise<Result>,
  toSourceError: (error: unknown) => unknown,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw toSourceError(error);
  }
}
