import type { CloneError } from '../../lib/errors.ts';
import { CloneError as Failure } from '../../lib/errors.ts';
import { originOf, type Platforms } from '../../lib/image/platforms.ts';
import {
  canonicalReference,
  canonicalRepository,
  formatReference,
  parseReference,
  type Reference,
  type Repository,
} from '../../lib/image/reference.ts';
import type {
  CopyProgress,
  CopyRequest,
  ImageCloner,
  PlatformSelection,
} from '../../lib/ports/index.ts';

export interface FakeClonerOptions {
  /** @default true */
  readonly keepsDigest?: boolean;
  /** Copies of an index have only these, and the digest `selectedDigest`. @default all */
  readonly platforms?: Platforms;
}

/** An `ImageCloner` over registries in memory. Images that were not put into it are absent. */
export interface FakeCloner extends ImageCloner {
  /** Makes `image` (`nginx:1.27`, or by digest alone) hold `digest`. */
  put(image: string, digest: string, options?: { readonly isIndex?: boolean }): void;
  /** Removes a repository with its tags and contents. */
  remove(repository: string): void;
  /** Every tag of a repository and its digest. */
  tags(repository: string): Readonly<Record<string, string>>;
  /** Makes requests and copies of this image, or of all images of a host, fail; `undefined` ends that. */
  fail(imageOrHost: string, error: CloneError | undefined): void;
  /** Copies report this progress and then wait until they are released or aborted. */
  pauseCopies(progress?: CopyProgress): () => void;
  /** Resolved references, each as `docker.io/library/nginx:1.27`. */
  readonly resolved: readonly string[];
  /** Started copies, each as `nginx@sha256:… -> acme/nginx`. */
  readonly begun: readonly string[];
  /** Tags in the order in which they were written. */
  readonly written: readonly string[];
}

/** Every image of the fake has this size. */
const imageBytes = 1_000;

interface Stored {
  readonly tags: Map<string, string>;
  /** Digest → whether it is an index. */
  readonly contents: Map<string, boolean>;
}

export function createFakeCloner({
  keepsDigest = true,
  platforms = [],
}: FakeClonerOptions = {}): FakeCloner {
  const repositories = new Map<string, Stored>();
  const failures = new Map<string, CloneError>();
  const resolved: string[] = [];
  const begun: string[] = [];
  const written: string[] = [];
  let gate: { readonly open: Promise<void>; readonly progress?: CopyProgress } | undefined;

  function find(repository: Repository): Stored | undefined {
    return repositories.get(canonicalRepository(repository));
  }

  function findOrCreate(repository: Repository): Stored {
    const stored = find(repository) ?? { tags: new Map(), contents: new Map() };
    repositories.set(canonicalRepository(repository), stored);
    return stored;
  }

  function assertAnswers(image: Reference): void {
    const failure = failures.get(image.domain) ?? failures.get(canonicalReference(image));
    if (failure !== undefined) throw failure;
  }

  async function passGate(signal: AbortSignal, onProgress: (now: CopyProgress) => void) {
    if (gate === undefined) return;
    if (gate.progress !== undefined) onProgress(gate.progress);
    const aborted = Promise.withResolvers<never>();
    signal.addEventListener('abort', () => aborted.reject(signal.reason), { once: true });
    await Promise.race([gate.open, aborted.promise]);
  }

  async function resolve(image: Reference, _access: unknown, signal: AbortSignal) {
    signal.throwIfAborted();
    resolved.push(canonicalReference(image));
    assertAnswers(image);
    const stored = find(image);
    const digest = image.digest ?? stored?.tags.get(image.tag ?? 'latest');
    const isIndex = digest === undefined ? undefined : stored?.contents.get(digest);
    return await Promise.resolve(
      digest === undefined || isIndex === undefined ? undefined : { digest, isIndex },
    );
  }

  async function copy(
    { source, target, firstTag, plan }: CopyRequest,
    signal: AbortSignal,
    onProgress: (now: CopyProgress) => void,
  ) {
    const { domain, path } = source;
    const pinned = { domain, path, digest: source.digest };
    begun.push(`${formatReference(pinned)} -> ${formatReference({ ...repositoryOf(target) })}`);
    await passGate(signal, onProgress);
    signal.throwIfAborted();
    assertAnswers(source);
    assertAnswers(target);
    const isIndex = find(source)?.contents.get(source.digest);
    if (isIndex === undefined) {
      throw new Failure('SOURCE_NOT_FOUND', `${formatReference(pinned)} is not in the fake`);
    }
    const stored = findOrCreate(target);
    const digest = keepsDigest ? (plan?.digest ?? source.digest) : pushedDigest(source.digest);
    const bytes = stored.contents.has(digest) ? 0 : imageBytes;
    stored.contents.set(digest, keepsDigest && isIndex);
    write(firstTag);
    return {
      digest,
      bytes,
      warnings: [],
      async writeTags(tags: readonly string[]) {
        for (const tag of await Promise.resolve(tags)) write(tag);
      },
      release: () => Promise.resolve(),
    };

    function write(tag: string): void {
      stored.tags.set(tag, digest);
      written.push(formatReference({ ...repositoryOf(target), tag }));
    }
  }

  function toSelection(): PlatformSelection | undefined {
    if (!keepsDigest) return { originOf: (digest) => digest };
    if (platforms.length === 0) return undefined;
    return {
      originOf: (digest) => originOf(digest, platforms),
      plan: async ({ digest }) => ({
        digest: await Promise.resolve(selectedDigest(digest, platforms)),
      }),
    };
  }

  return {
    selection: toSelection(),
    resolve,
    copy,
    resolved,
    begun,
    written,
    put(image, digest, { isIndex = false } = {}) {
      const reference = parseReference(image);
      const stored = findOrCreate(reference);
      stored.contents.set(digest, isIndex);
      if (reference.digest === undefined) stored.tags.set(reference.tag ?? 'latest', digest);
    },
    remove(repository) {
      repositories.delete(canonicalRepository(parseReference(repository)));
    },
    tags(repository) {
      return Object.fromEntries(find(parseReference(repository))?.tags ?? []);
    },
    fail(imageOrHost, error) {
      const isHost = /^[^/:]+\.[^/:]+(:\d+)?$/.test(imageOrHost);
      const key = isHost ? imageOrHost : canonicalReference(parseReference(imageOrHost));
      if (error === undefined) failures.delete(key);
      else failures.set(key, error);
    },
    pauseCopies(progress) {
      const { promise, resolve: release } = Promise.withResolvers<void>();
      gate = { open: promise, ...(progress !== undefined && { progress }) };
      return () => {
        gate = undefined;
        release();
      };
    },
  };
}

/** `sha256:aaaa…` becomes `sha256:f0f0aaaa…`; a second push does not change it again. */
export function pushedDigest(digest: string): string {
  return digest.replace(/:[0-9a-f]{4}/, ':f0f0');
}

/** `sha256:aaaa…` becomes `sha256:f102aaaa…` for two platforms. */
function selectedDigest(digest: string, platforms: Platforms): string {
  return digest.replace(/:[0-9a-f]{4}/, `:f1${String(platforms.length).padStart(2, '0')}`);
}

function repositoryOf({ domain, path }: Repository): Repository {
  return { domain, path };
}
