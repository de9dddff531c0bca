import { findForbidden } from '../../admission/named-copy.ts';
import type { ReviewPolicy } from '../../admission/policy.ts';
import type { CheckSource } from '../../cloner/source/index.ts';
import { canonicalReference, formatReference, type Reference } from '../../image/reference.ts';
import type {
  BackupCredentials,
  ImageCloner,
  RegistryAccess,
  StoredWorkload,
} from '../../ports/index.ts';
import { createSemaphore, mapConcurrently } from '../../util/semaphore.ts';
import type { RateLimiter } from '../rate-limiter.ts';
import { checkCopy } from './check-copy.ts';
import { type CheckPullDeps, checkPull } from './check-pull.ts';
import { compareSource } from './compare-source.ts';
import { listCopies, type NamedCopy } from './list-copies.ts';
import { createOutage, type Outage } from './outage.ts';
import {
  type BackupFinding,
  type SourceState,
  toVerification,
  type Verification,
  type VerifiedImage,
} from './verification.ts';

export interface VerifyDeps extends Omit<CheckPullDeps, 'cloner'> {
  readonly cloner: ImageCloner;
  readonly backupCredentials: BackupCredentials;
  /** Absent: the sources are not asked. */
  readonly checkSource?: CheckSource | undefined;
  readonly policy: ReviewPolicy;
  /** Between two copies. */
  readonly rateLimiter: RateLimiter;
}

interface VerifyOptions {
  /** Ends the checks; what is known by then is reported. */
  readonly signal: AbortSignal;
  /** Receives how many copies were checked. */
  readonly onStep: (checked: number, total: number) => void;
}

/** Checks each copy once, however many objects name it, and stops asking a backup that is down. Changes nothing. */
type Verify = (
  storedWorkloads: readonly StoredWorkload[],
  options: VerifyOptions,
) => Promise<Verification>;

/** The objects that name one copy. */
type Users = readonly [NamedCopy, ...NamedCopy[]];

interface Context {
  readonly access: RegistryAccess;
  readonly outage: Outage;
  readonly signal: AbortSignal;
}

/** Each copy costs a request for each of its parts. */
const maxConcurrentCopies = 4;
const credentialsMs = 30_000;
const unchecked: BackupFinding = { state: 'unchecked', what: 'not checked' };

export function createVerify(deps: VerifyDeps): Verify {
  const { cloner, policy, rateLimiter, checkSource } = deps;
  const turns = createSemaphore(1);

  return async (storedWorkloads, { signal, onStep }) => {
    const listed = storedWorkloads.map((stored) => listCopies(stored, policy));
    const groups = toGroups(listed.flatMap(({ copies }) => copies));
    const credentials = await deps.backupCredentials({ ms: credentialsMs, signal });
    const context = {
      access: { side: 'backup', credentials },
      outage: createOutage(),
      signal,
    } as const;
    let checked = 0;
    const found = await mapConcurrently(groups, maxConcurrentCopies, async (users) => {
      const images = await checkUntilAborted(users, context);
      checked += 1;
      onStep(checked, groups.length);
      return images;
    });
    const images = [...listed.flatMap(({ known }) => known), ...found.flat()];
    const left = images.filter(({ what }) => what === unchecked.what).length;
    const missed =
      left === 0 ? [] : [`${left} of ${images.length} images were not checked: run again`];
    return toVerification(images, [...context.outage.messages(), ...missed]);
  };

  /** The annotation is anybody's to write, so the policy decides about what it names as about an image. */
  function mayAsk(original: Reference): boolean {
    return findForbidden(formatReference(original), original, policy) === undefined;
  }

  async function checkUntilAborted(
    users: Users,
    context: Context,
  ): Promise<readonly VerifiedImage[]> {
    const { outage, signal } = context;
    try {
      // The last of thousands of copies would otherwise wait for minutes.
      const wait = async (): Promise<void> => {
        if (!outage.isKnown()) await rateLimiter.wait(signal);
      };
      await turns.run(wait, signal);
      if (!outage.isKnown()) return await checkUsers(users, context);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    return users.map((each) => toImage(each, unchecked));
  }

  async function checkUsers(
    users: Users,
    { access, outage, signal }: Context,
  ): Promise<readonly VerifiedImage[]> {
    const [{ copy, original, pod }] = users;
    const { digest, error, ...finding } = await checkCopy(cloner, copy, access, signal);
    outage.note(error);
    if (digest === undefined) return users.map((each) => toImage(each, finding));
    const query = { cloner, backup: { ...copy, tag: copy.tag ?? 'latest' }, access, signal };
    const source =
      original === undefined || checkSource === undefined || !mayAsk(original)
        ? undefined
        : await compareSource(checkSource, original, { query, digest }, pod);
    // The same for every object with the same pull secrets.
    const pulls = new Map<string, Promise<BackupFinding>>();
    const pull = (each: NamedCopy): Promise<BackupFinding> => {
      if (each.pod === undefined || finding.state !== 'whole') return Promise.resolve(finding);
      const key = JSON.stringify(each.pod);
      const known = pulls.get(key) ?? checkPull(deps, { ...copy, digest }, each.pod, signal);
      pulls.set(key, known);
      return known;
    };
    return await Promise.all(users.map(async (each) => toImage(each, await pull(each), source)));
  }
}

function toGroups(copies: readonly NamedCopy[]): readonly Users[] {
  const groups = Map.groupBy(copies, ({ copy }) => canonicalReference(copy));
  return [...groups.values()].flatMap(([first, ...others]): readonly Users[] =>
    first === undefined ? [] : [[first, ...others]],
  );
}

function toImage(
  { stored, label, image }: NamedCopy,
  { state, what }: BackupFinding,
  source?: SourceState,
): VerifiedImage {
  return { stored, label, image, state, what, ...(source !== undefined && { source }) };
}
