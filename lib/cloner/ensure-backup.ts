import { CloneError } from '../errors.ts';
import { canonicalReference, formatReference, type Reference } from '../image/reference.ts';
import { generationTag, isGenerationTag, provenanceTag } from '../image/tags.ts';
import type {
  CloneOutcome,
  CopyResult,
  CredentialSource,
  Credentials,
  ImageCloner,
  Logger,
} from '../ports.ts';
import {
  type BackupQuestion,
  type BackupState,
  holds,
  isCopyOf,
  readBackup,
  readPinnedBackup,
} from './backup.ts';
import type { Copies } from './copies.ts';
import { withDeadline } from './deadline.ts';
import { describeProgress } from './progress.ts';
import { type CheckedSource, createSourceCheck } from './source.ts';

export interface EnsureDeps {
  readonly cloner: ImageCloner;
  readonly copies: Copies;
  readonly sourceCredentials: CredentialSource;
  readonly backupCredentials: () => Promise<Credentials | undefined>;
  readonly pinDigests: boolean;
  readonly adoptExisting: boolean;
  readonly logger: Logger;
  readonly now: () => number;
}

export interface EnsureRequest {
  readonly source: Reference;
  readonly backup: Reference;
  /** Reads only. */
  readonly dryRun: boolean;
  /** How long registries may take to answer, and how long is waited for a copy. */
  readonly budgetMs: number;
  /** Ends the waiting, never the copy. */
  readonly signal: AbortSignal;
  /** For the log. */
  readonly uid: string;
}

/** Makes the backup hold one image, or says why it does not. Never throws for a reason that a person can be told. */
export type EnsureBackup = (request: EnsureRequest) => Promise<CloneOutcome>;

/** One image on its way through the steps of `ensureBackup`. */
interface Errand {
  readonly request: EnsureRequest;
  readonly question: Omit<BackupQuestion, 'signal'>;
  readonly state: BackupState;
  readonly remainingMs: () => number;
}

/** The policy that stands between a review and the adapters, written once for all of them: product decisions, no I/O. */
export function createEnsureBackup(deps: EnsureDeps): EnsureBackup {
  const { cloner, copies, logger, now } = deps;
  const checkSource = createSourceCheck({ cloner, credentials: deps.sourceCredentials, now });

  return async function ensureBackup(request) {
    const startedAt = now();
    let outcome: CloneOutcome;
    try {
      outcome = await ensure(request, startedAt);
    } catch (error) {
      if (!(error instanceof CloneError)) throw error;
      outcome =
        error.code === 'INTERRUPTED'
          ? { status: 'pending', detail: error.message, retryAfterSeconds: 5 }
          : { status: 'failed', error };
    }
    logOutcome(request, outcome, now() - startedAt);
    return outcome;
  };

  async function ensure(request: EnsureRequest, startedAt: number): Promise<CloneOutcome> {
    const { source, signal } = request;
    const remainingMs = (): number => Math.max(0, request.budgetMs - (now() - startedAt));
    const access = { side: 'backup', credentials: await deps.backupCredentials() } as const;
    const backup = { ...request.backup, tag: request.backup.tag ?? 'latest' };
    const question = { cloner, backup, access };
    const isPinned = source.tag !== undefined && source.digest !== undefined;
    const { digest } = source;
    const state = await askBackup({ question, remainingMs, signal }, (asked) =>
      isPinned && digest !== undefined ? readPinnedBackup(asked, digest) : readBackup(asked),
    );
    const errand: Errand = { request, question, state, remainingMs };

    let checked: CheckedSource;
    try {
      const hasBackup = state.digest !== undefined && state.isOurs;
      checked = await checkSource(source, { budgetMs: remainingMs(), hasBackup, signal });
    } catch (error) {
      return fallBack(errand, error, startedAt);
    }
    try {
      return await bring(errand, checked, startedAt);
    } catch (error) {
      // It was there a moment ago and could not be read: for the person that is the same as not being there.
      const isSources = error instanceof CloneError && error.code.startsWith('SOURCE_');
      if (!isSources) throw error;
      return fallBack(errand, error, startedAt);
    }
  }

  /** The source is there: copy it unless the backup holds it already. */
  async function bring(
    errand: Errand,
    checked: CheckedSource,
    startedAt: number,
  ): Promise<CloneOutcome> {
    const { request, state, question } = errand;
    const warnings = platformWarnings(request.source, checked);
    const { digest } = state;
    const isCurrent =
      digest !== undefined &&
      (await askBackup({ ...errand, signal: request.signal }, (asked) =>
        isPinned(request.source) ? Promise.resolve(true) : isCopyOf(asked, digest, checked.digest),
      ));
    if (isCurrent && state.isOurs) {
      return ready(errand, { digest, result: 'present', warnings, startedAt });
    }
    if (!isCurrent) refuseToOverwrite(errand);

    if (request.dryRun) {
      const known = isCurrent ? digest : cloner.keepsDigest ? checked.digest : undefined;
      const result = isCurrent ? 'present' : 'planned';
      return ready(errand, { digest: known, result, warnings, startedAt });
    }
    const target = canonicalReference({ ...question.backup, tag: question.backup.tag });
    const copy = copies.start({ target, sourceDigest: checked.digest }, (signal, onProgress) =>
      isCurrent
        ? mark(errand, digest, signal, onProgress)
        : replace(errand, checked, signal, onProgress),
    );
    const expiry = new AbortController();
    const timer = setTimeout(() => expiry.abort(), errand.remainingMs());
    try {
      const copied = await copy.wait(AbortSignal.any([expiry.signal, request.signal]));
      if (copied === undefined) return { status: 'pending', ...describeProgress(copy) };
      const result = isCurrent ? 'present' : 'copied';
      return ready(errand, { ...copied, result, warnings, startedAt });
    } finally {
      clearTimeout(timer);
    }
  }

  /** A tag that somebody else wrote is not ours to move, unless we are told to; nor is another tag's generation. */
  function refuseToOverwrite({ state, question: { backup } }: Errand): void {
    if (state.digest === undefined) return;
    const name = formatTag(backup);
    if (isGenerationTag(backup.tag, state.digest)) {
      throw new CloneError(
        'BACKUP_GENERATION_LOST',
        `${name} in the backup keeps an older generation of another tag and is not overwritten`,
      );
    }
    if (!state.isOurs && !deps.adoptExisting) {
      throw new CloneError(
        'BACKUP_NOT_OURS',
        `${name} exists in the backup but was not written by image-cloner; give the backups a namespace of their own (REGISTRY_NAMESPACE) or set ADOPT_EXISTING=true`,
      );
    }
  }

  type Progress = Parameters<ImageCloner['copy']>[2];

  /** Copies the source, the tag that readers look at last. */
  async function replace(
    errand: Errand,
    checked: CheckedSource,
    signal: AbortSignal,
    onProgress: Progress,
  ): Promise<CopyResult> {
    const { request, state, question } = errand;
    const { tag } = question.backup;
    if (state.digest !== undefined && !state.isOurs) {
      await mark(errand, state.digest, signal, onProgress);
    }
    const last = (await movesTag(errand, checked, signal)) ? [tag] : [];
    const source = { ...request.source, digest: checked.digest };
    return await cloner.copy(
      {
        source,
        sourceAccess: checked.access,
        target: question.backup,
        targetAccess: question.access,
        firstTag: cloner.keepsDigest
          ? generationTag(tag, checked.digest)
          : provenanceTag(tag, checked.digest),
        moreTags: (digest) => (cloner.keepsDigest ? last : [generationTag(tag, digest), ...last]),
      },
      signal,
      onProgress,
    );
  }

  /** A pinned source gets the plain tag only where there is none, and where its own tag is that very digest now. */
  async function movesTag(
    { request: { source }, question }: Errand,
    checked: CheckedSource,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (!isPinned(source)) return true;
    if ((await holds({ ...question, signal }, question.backup.tag)) !== undefined) return false;
    const { digest: _digest, ...tagged } = source;
    const now = await cloner.resolve(tagged, checked.access, signal);
    return now?.digest === checked.digest;
  }

  /** Gives what the backup already holds its generation tag, so that it is ours and stays reachable. */
  async function mark(
    { question }: Errand,
    digest: string,
    signal: AbortSignal,
    onProgress: Progress,
  ): Promise<CopyResult> {
    const { backup, access } = question;
    const generation = generationTag(backup.tag, digest);
    const copied = await cloner.copy(
      {
        source: { domain: backup.domain, path: backup.path, digest },
        sourceAccess: access,
        target: backup,
        targetAccess: access,
        firstTag: cloner.keepsDigest ? generation : provenanceTag(backup.tag, digest),
        moreTags: (pushed) => {
          if (pushed !== digest) {
            throw new CloneError(
              'BACKUP_GENERATION_LOST',
              `${formatTag(backup)} in the backup cannot be kept: the docker daemon would push it with another digest`,
            );
          }
          return cloner.keepsDigest ? [] : [generation];
        },
      },
      signal,
      onProgress,
    );
    return { ...copied, bytes: 0 };
  }

  function fallBack(errand: Errand, error: unknown, startedAt: number): CloneOutcome {
    if (!(error instanceof CloneError) || error.code === 'INTERRUPTED') throw error;
    const { state, question, request } = errand;
    if (state.digest === undefined) throw error;
    if (!state.isOurs) {
      const name = formatTag(question.backup);
      throw new CloneError(
        error.code,
        `${error.message}; ${name} in the backup was not written by image-cloner and is not used`,
        { cause: error },
      );
    }
    const warning = `using the backup of ${formatReference(request.source)}: ${error.message}`;
    return ready(errand, {
      digest: state.digest,
      result: 'fallback',
      warnings: [warning],
      startedAt,
    });
  }

  function ready(
    { request, question: { backup } }: Errand,
    found: {
      readonly digest: string | undefined;
      readonly result: 'present' | 'copied' | 'fallback' | 'planned';
      readonly warnings: readonly string[];
      readonly startedAt: number;
      readonly bytes?: number;
    },
  ): CloneOutcome {
    const { domain, path, tag } = backup;
    const wantsDigest = deps.pinDigests || request.source.digest !== undefined;
    const isUnknown = wantsDigest && found.digest === undefined;
    const warnings = isUnknown
      ? [
          ...found.warnings,
          `dry run: the digest of ${formatReference(request.source)} is known after the copy`,
        ]
      : found.warnings;
    return {
      status: 'ready',
      image: {
        domain,
        path,
        tag,
        ...(wantsDigest && found.digest !== undefined && { digest: found.digest }),
      },
      result: found.result,
      bytes: found.bytes ?? 0,
      durationMs: now() - found.startedAt,
      warnings,
    };
  }

  function platformWarnings(source: Reference, { isIndex }: CheckedSource): readonly string[] {
    if (!isIndex || cloner.keepsDigest) return [];
    return [`${formatReference(source)}: only the docker daemon's own platform is backed up`];
  }

  function logOutcome(request: EnsureRequest, outcome: CloneOutcome, ms: number): void {
    const fields = {
      uid: request.uid,
      source: canonicalReference(request.source),
      backup: formatReference(request.backup),
      ms: Math.round(ms),
    };
    switch (outcome.status) {
      case 'ready':
        logger.info(
          { ...fields, result: outcome.result, digest: outcome.image.digest, bytes: outcome.bytes },
          'image is in the backup',
        );
        return;
      case 'pending':
        logger.info({ ...fields, detail: outcome.detail }, 'image is still being copied');
        return;
      case 'failed':
        logger.warn(
          { ...fields, code: outcome.error.code, err: outcome.error },
          'image has no backup',
        );
    }
  }
}

/** The backup's tag, without the digest of the source. */
function formatTag({ domain, path, tag }: BackupQuestion['backup']): string {
  return formatReference({ domain, path, tag });
}

function isPinned({ tag, digest }: Reference): boolean {
  return tag !== undefined && digest !== undefined;
}

/** Reads from the backup registry within what is left of the budget. */
async function askBackup<Result>(
  {
    question,
    remainingMs,
    signal,
  }: Pick<Errand, 'question' | 'remainingMs'> & { readonly signal: AbortSignal },
  ask: (question: BackupQuestion) => Promise<Result>,
): Promise<Result> {
  const error = (): CloneError =>
    new CloneError(
      'BACKUP_UNAVAILABLE',
      `the backup registry ${question.backup.domain} did not answer in time`,
    );
  return await withDeadline({ ms: remainingMs(), error, signal }, (within) =>
    ask({ ...question, signal: within }),
  );
}
