import { CloneError } from '../../errors.ts';
import {
  type ClusterNamespace,
  namespaceGrantTag,
  privateTag,
  publicGrantTag,
} from '../../image/private-tags.ts';
import { formatReference, type Reference } from '../../image/reference.ts';
import { isGenerationTag } from '../../image/tags.ts';
import type { ImageCloner } from '../../ports/index.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';
import type { CheckedSource } from '../source/index.ts';
import {
  type BackupQuery,
  isCopyOf,
  listTags,
  readManifest,
  readTag,
  type TagAnswer,
} from './read-backup.ts';

/**
 * Copies of images that refused anonymous access and that a workload's own pull secret opened. Marker tags in the backup name
 * their audience, so that restarts and replicas know it; if the source is gone, only the audience gets the copy.
 */
export interface PrivateCopies {
  /**
   * Marks the digest that a copy will have before its first layer is written; throws if it is private and the backup is public.
   */
  markBeforeCopy(
    query: BackupQuery,
    opened: OpenedImage,
    digest: string | undefined,
  ): Promise<void>;
  /**
   * Adds a namespace that opened the image to the audience of the digest in the backup; every namespace, if it opened
   * anonymously.
   */
  admit(query: BackupQuery, opened: OpenedImage, digest: string): Promise<void>;
  /** Whether a copy whose source is gone may be served to a namespace; an error if the backup does not say. */
  isServedTo(
    query: BackupQuery,
    fallback: { readonly digest: string; readonly namespace: string | undefined },
  ): Promise<boolean | CloneError>;
}

/** An image that its registry served to a workload of a namespace. */
interface OpenedImage {
  readonly source: Reference;
  readonly checked: CheckedSource;
  /** Absent for commands run by hand, which have the backup's own credentials. */
  readonly namespace: string | undefined;
}

export interface PrivateCopiesDeps {
  readonly cloner: ImageCloner;
  /** Whether workloads' pull secrets are read; without them no private image is copied. */
  readonly isEnabled: boolean;
  readonly cluster: string;
  /** Whether private images may be copied to a backup that anonymous clients can read. */
  readonly toPublic: 'deny' | 'allow';
}

const maxSettled = 10_000;

export function createPrivateCopies({
  cloner,
  isEnabled,
  cluster,
  toPublic,
}: PrivateCopiesDeps): PrivateCopies {
  /** Digests that need no further mark for a namespace. Marks are never removed, so a present image costs no request. */
  const settled = createBoundedMap<string, true>(maxSettled);

  async function markBeforeCopy(
    query: BackupQuery,
    opened: OpenedImage,
    digest: string | undefined,
  ): Promise<void> {
    const { checked, namespace } = opened;
    if (!isEnabled || namespace === undefined || checked.openedBy !== 'workload') return;
    if (await isPublicSource(opened, query.signal)) return;
    if (digest === undefined) throw new Error('a private copy needs a digest that is known before');
    if (await isServedToAll(query, digest)) return;
    // The audience first: a process killed in between has served the copy to no other namespace.
    const marks = [namespaceGrantTag(digest, { cluster, namespace }), privateTag(digest)] as const;
    await writeMarks(query, marks);
    settled.set(toKey(query, digest, namespace), true);
    await assertHidden(query, marks[0], opened.source);
  }

  async function admit(
    query: BackupQuery,
    { checked, namespace }: OpenedImage,
    digest: string,
  ): Promise<void> {
    // A cloner that cannot write marks makes no private copies.
    if (!isEnabled || namespace === undefined || cloner.mark === undefined) return;
    const key = toKey(query, digest, namespace);
    if (settled.has(key)) return;
    // A mark that the backup neither has nor denies counts as one.
    if ((await readTag(query, privateTag(digest))) !== undefined) {
      // Anonymous access proves only the copy of the digest that was opened to be public.
      const isPublic =
        checked.openedBy === 'anonymous' && (await isCopyOf(query, digest, checked.digest));
      const mark = isPublic ? publicGrantTag(digest) : ownMark(digest, namespace);
      if (typeof (await readTag(query, mark)) !== 'string') await writeMarks(query, [mark]);
    }
    settled.set(key, true);
  }

  async function isServedTo(
    query: BackupQuery,
    { digest, namespace }: { readonly digest: string; readonly namespace: string | undefined },
  ): Promise<boolean | CloneError> {
    if (namespace === undefined) return true;
    const mark = await findPrivateMark(query, digest);
    if (mark === undefined) return true;
    const answers: TagAnswer[] = [mark];
    for (const tag of [ownMark(digest, namespace), publicGrantTag(digest)]) {
      const granted = await readTag(query, tag);
      if (typeof granted === 'string') return true;
      answers.push(granted);
    }
    return answers.find((answer) => answer instanceof CloneError) ?? false;
  }

  function ownMark(digest: string, namespace: string): string {
    return namespaceGrantTag(digest, { cluster, namespace } satisfies ClusterNamespace);
  }

  /** Only a successful anonymous request proves an image public; a rate limit or a timeout proves nothing. */
  async function isPublicSource(
    { source: { domain, path }, checked: { digest } }: OpenedImage,
    signal: AbortSignal,
  ): Promise<boolean> {
    try {
      const found = await cloner.resolve({ domain, path, digest }, { side: 'source' }, signal);
      return found !== undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof CloneError) return false;
      throw error;
    }
  }

  /** The mark itself is the probe: an anonymous client that can read it can read the repository. */
  async function assertHidden(query: BackupQuery, mark: string, source: Reference): Promise<void> {
    if (toPublic === 'allow') return;
    const anonymous = { ...query, access: { side: 'backup' } } as const;
    const found = await readTag(anonymous, mark);
    if (found === undefined) return;
    if (found instanceof CloneError) {
      if (found.reason === 'DENIED') return;
      throw found;
    }
    const { domain, path } = query.backup;
    throw new CloneError(
      'BACKUP_PUBLIC',
      `${formatReference(source)} is private and anonymous clients can read ${domain}/${path} in the backup: make the backup private, or allow the copy with PRIVATE_TO_PUBLIC=allow`,
    );
  }

  return { markBeforeCopy, admit, isServedTo };
}

/**
 * Requests an absent mark twice: if the source is gone, only the mark shows that the copy is private, and a replica of the
 * registry may lag behind. The second request confirms the absence.
 */
async function findPrivateMark(query: BackupQuery, digest: string): Promise<TagAnswer> {
  const mark = privateTag(digest);
  return (await readTag(query, mark)) ?? (await readTag(query, mark, { isFinal: true }));
}

/**
 * Whether the backup holds a copy with this digest for every namespace: it has a generation tag and no mark, because marks are
 * written first. Otherwise one namespace could make a public copy private to itself.
 */
async function isServedToAll(query: BackupQuery, digest: string): Promise<boolean> {
  if (query.cloner.listTags === undefined) return false;
  // Most images are new, so this saves the list of tags.
  if ((await readManifest(query, digest)) !== digest) return false;
  if ((await readTag(query, privateTag(digest))) !== undefined) return false;
  for (const tag of await listTags(query)) {
    if (isGenerationTag(tag, digest) && (await readTag(query, tag)) === digest) return true;
  }
  return false;
}

async function writeMarks(
  { cloner: { mark }, backup, access, signal }: BackupQuery,
  marks: readonly string[],
): Promise<void> {
  if (mark === undefined) throw new Error('this cloner cannot mark private copies');
  await mark(backup, marks, access, signal);
}

function toKey({ backup }: BackupQuery, digest: string, namespace: string): string {
  return JSON.stringify([backup.domain, backup.path, digest, namespace]);
}
