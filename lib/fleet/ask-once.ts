import type { EnsureUntilDone } from '../cloner/ensure-until-done.ts';
import { type CloneError, isFailureOf } from '../errors.ts';
import { canonicalReference } from '../image/reference.ts';
import type { CloneOutcome } from '../ports/index.ts';

export interface AskOnceDeps {
  readonly ensure: EnsureUntilDone;
  /** Whether pull secrets of workloads open sources, so that the outcome for an image depends on the pod. @default false */
  readonly readsPullSecrets?: boolean;
}

/** A request to make the backup hold one image; with `dryRun`, to find out what would be copied. */
export type Question = Parameters<EnsureUntilDone>[0];

/** Asks the registries once for each image, however many objects name it, and not at all while the backup is down. */
export interface AskOnce {
  /** `undefined` if the backup is down. */
  ask(question: Question): Promise<CloneOutcome | undefined>;
  /** The same for questions that have the same answer. */
  keyOf(question: Question): string;
  /** Why nothing more is asked for. */
  outage(): string | undefined;
  /** One sentence for each registry that failed, instead of one for each image. */
  outages(): readonly string[];
  /** Whether a failure says nothing about the image. */
  isOutage(error: CloneError): boolean;
}

/** A registry that fails for so many images in a row is at fault, and not the images. */
const maxFailures = 3;

export function createAskOnce({ ensure, readsPullSecrets = false }: AskOnceDeps): AskOnce {
  const answers = new Map<string, Promise<CloneOutcome>>();
  const firstFailures = new Map<string, CloneError>();
  let failuresInRow = 0;
  let outage: CloneError | undefined;

  async function answer(key: string, question: Question): Promise<CloneOutcome> {
    // The circuit of a source that is down answers at once, and no image waits for a probe.
    const outcome = await ensure({ ...question, isInteractive: false });
    if (outcome.status === 'pending') answers.delete(key);
    if (outcome.status !== 'failed') {
      if (outcome.status === 'ready') failuresInRow = 0;
      return outcome;
    }
    const error = unify(question, outcome.error);
    if (isOutageOfBackup(error)) {
      failuresInRow += 1;
      if (error.isUnreachable || failuresInRow >= maxFailures) outage ??= error;
    } else failuresInRow = 0;
    return { status: 'failed', error };
  }

  /** The messages of an outage have times in them; one sentence for all images of a registry can be counted. */
  function unify({ source }: Question, error: CloneError): CloneError {
    const isOfRegistry =
      isOutageOfBackup(error) || isFailureOf('source', error, ['UNAVAILABLE', 'RATE_LIMITED']);
    if (!isOfRegistry) return error;
    const key = error.side === 'source' ? `${error.code} ${source.domain}` : error.code;
    const first = firstFailures.get(key) ?? error;
    firstFailures.set(key, first);
    return first;
  }

  function keyOf({ source, pod }: Question): string {
    return JSON.stringify([canonicalReference(source), readsPullSecrets && pod]);
  }

  return {
    keyOf,
    async ask(question) {
      const key = keyOf(question);
      const known = answers.get(key);
      if (known !== undefined) return await known;
      if (outage !== undefined) return undefined;
      const asked = answer(key, question);
      answers.set(key, asked);
      return await asked;
    },
    outage: () => outage?.message,
    outages: () => [...firstFailures.values()].map(({ message }) => message),
    isOutage: (error) => [...firstFailures.values()].includes(error),
  };
}

/** The docker daemon is the only way to the backup. */
function isOutageOfBackup(error: CloneError): boolean {
  return (
    error.code === 'CLONER_UNAVAILABLE' ||
    isFailureOf('backup', error, ['UNAVAILABLE', 'RATE_LIMITED', 'DENIED'])
  );
}
