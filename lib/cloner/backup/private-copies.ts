import { CloneError, isFailureOf } from '../../errors.ts';
import {
  type Audience,
  privateTag,
  privateToNobodyTag,
  privateToTag,
} from '../../image/private-tags.ts';
import { formatReference, type Reference } from '../../image/reference.ts';
import type { ImageCloner } from '../../ports/index.ts';
import { createBoundedMap } from '../../util/bounded-map.ts';
import type { CheckedSource } from '../source/index.ts';
import { type BackupQuery, holds } from './read-backup.ts';
import { isServedToAll } from './served-to-all.ts';

/**
 * Private copies: those that a workload's own pull secret opened and that nobody can read anonymously. Marks in the backup say for
 * whom they were made, so that restarts and replicas know it too; only they are served when the source cannot be asked any more.
 */
export interface PrivateCopies {
  /** Before a layer is written: marks the copy, and lets nothing private into a backup that anybody can read. */
  markBeforeCopy(question: BackupQuery, opened: OpenedImage): Promise<void>;
  /**
   * Whoever opens a private image by himself belongs to its audience from now on, for the digest that the backup has of it; where
   * it took nobody's credentials, everybody does.
   */
  admit(question: BackupQuery, opened: OpenedImage, digest: string): Promise<void>;
  /** Throws the source's own error, with the reason, where the copy is private to others. */
  assertServedTo(
    question: BackupQuery,
    fallback: { readonly digest: string; readonly namespace: string | undefined },
    sourceError: CloneError,
  ): Promise<void>;
}

/** An image that its registry has just shown to a workload of a namespace. */
interface OpenedImage {
  readonly source: Reference;
  readonly checked: CheckedSource;
  /** Absent where no workload asks: whoever runs a command by hand holds the backup's own credentials. */
  readonly namespace: string | undefined;
}

export interface PrivateCopiesDeps {
  readonly cloner: ImageCloner;
  /** Whether workloads' own pull secrets are read; without them nothing private is copied. */
  readonly isEnabled: boolean;
  readonly cluster: string;
  /** Whether private images may go to a backup that anybody can read. */
  readonly toPublic: 'deny' | 'allow';
}

/** Facts that cannot change, so that an image that is there already costs no question. */
const maxRemembered = 10_000;

export function createPrivateCopies({
  cloner,
  isEnabled,
  cluster,
  toPublic,
}: PrivateCopiesDeps): PrivateCopies {
  /** Copies that need no mark for a namespace: it has one, or they are not private. */
  const settled = createBoundedMap<string, true>(maxRemembered);

  async function markBeforeCopy(question: BackupQuery, opened: OpenedImage): Promise<void> {
    const { checked, namespace } = opened;
    if (!isEnabled || namespace === undefined || checked.openedBy !== 'workload') return;
    if (await isPublicSource(opened, question.signal)) return;
    if (await isServedToAll(question, checked.digest)) return;
    const marks = await mark(question, checked.digest, { cluster, namespace });
    await assertHidden(question, marks, opened.source);
  }

  async function admit(
    question: BackupQuery,
    { checked, namespace }: OpenedImage,
    digest: string,
  ): Promise<void> {
    // Other adapters' digests differ from the source's; they make no private copies.
    if (!isEnabled || namespace === undefined || !cloner.keepsDigest) return;
    const fact = toFact(question, digest, namespace);
    if (settled.has(fact)) return;
    if ((await holds(question, privateTag(digest))) !== undefined) {
      // What the tag held before may have been private: only what was opened is known not to be.
      const isPublic = checked.openedBy === 'anybody' && checked.digest === digest;
      const own = isPublic
        ? privateToNobodyTag(digest)
        : privateToTag(digest, { cluster, namespace });
      if ((await holds(question, own)) === undefined) await write(question, [own]);
    }
    remember(fact);
  }

  async function assertServedTo(
    question: BackupQuery,
    { digest, namespace }: { readonly digest: string; readonly namespace: string | undefined },
    sourceError: CloneError,
  ): Promise<void> {
    if (namespace === undefined) return;
    if (!(await isPrivate(question, digest))) return;
    for (const tag of [privateToTag(digest, { cluster, namespace }), privateToNobodyTag(digest)]) {
      if ((await holds(question, tag)) !== undefined) return;
    }
    const rule = `its backup is private to the namespaces whose own pull secrets opened it, and ${JSON.stringify(namespace)} is none of them`;
    throw new CloneError(sourceError.code, `${sourceError.message}; ${rule}`, {
      cause: sourceError,
    });
  }

  /** Asks as anybody would. Only an answer proves that an image is public: a registry that limits or is silent says nothing. */
  async function isPublicSource(
    { source, checked }: OpenedImage,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { domain, path } = source;
    try {
      const found = await cloner.resolve(
        { domain, path, digest: checked.digest },
        { side: 'source' },
        signal,
      );
      return found !== undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof CloneError) return false;
      throw error;
    }
  }

  /** The audience first: a process killed in between has hidden the copy from everybody, and shown it to nobody. */
  async function mark(
    question: BackupQuery,
    digest: string,
    audience: Audience,
  ): Promise<readonly string[]> {
    const marks = [privateToTag(digest, audience), privateTag(digest)];
    await write(question, marks);
    remember(toFact(question, digest, audience.namespace));
    return marks;
  }

  async function write(
    { backup, access, signal }: BackupQuery,
    marks: readonly string[],
  ): Promise<void> {
    if (cloner.mark === undefined) throw new Error('this cloner cannot mark private copies');
    await cloner.mark(backup, marks, access, signal);
  }

  async function assertHidden(
    question: BackupQuery,
    [tag = '']: readonly string[],
    source: Reference,
  ): Promise<void> {
    if (toPublic === 'allow') return;
    const { backup, signal } = question;
    try {
      const asAnybody = { ...question, access: { side: 'backup' } } as const;
      if ((await holds(asAnybody, tag)) === undefined) return;
    } catch (error) {
      signal.throwIfAborted();
      if (isFailureOf('backup', error, ['DENIED'])) return;
      throw error;
    }
    const { domain, path } = backup;
    throw new CloneError(
      'BACKUP_PUBLIC',
      `${formatReference(source)} is private, and anybody can read ${domain}/${path} in the backup: it is not copied there (PRIVATE_TO_PUBLIC=deny)`,
    );
  }

  function remember(fact: string): void {
    settled.set(fact, true);
  }

  return { markBeforeCopy, admit, assertServedTo };
}

/** Asked twice where it is not: once the source is gone nothing else says so, and a replica of the backup may lag behind. */
async function isPrivate(question: BackupQuery, digest: string): Promise<boolean> {
  const mark = privateTag(digest);
  return ((await holds(question, mark)) ?? (await holds(question, mark))) !== undefined;
}

function toFact({ backup }: BackupQuery, digest: string, namespace: string): string {
  return JSON.stringify([backup.domain, backup.path, digest, namespace]);
}
