import { type CloneOutcomes, completeReview } from '../admission/answer/index.ts';
import { isCertainlyDenied, planReview, type ReviewPlan } from '../admission/plan.ts';
import type { ReviewPolicy } from '../admission/policy.ts';
import { CloneError } from '../errors.ts';
import type { Question } from '../fleet/ask-once.ts';
import { parseBackup } from '../fleet/originals.ts';
import { formatReference, type Reference } from '../image/reference.ts';
import type { CloneOutcome } from '../ports/index.ts';
import { mapConcurrently } from '../util/semaphore.ts';
import { addField, appendItem, replaceText } from './edit-node.ts';
import { type ManifestObject, parseStream } from './parse-stream.ts';
import { applyOperations, isSameJson, type Operation, parsePatch } from './patch.ts';
import type { Note } from './resource-list.ts';
import { applyEdits, lineOf, type TextEdit, UneditableError } from './text-edits.ts';

export interface RewriteDeps {
  readonly policy: ReviewPolicy;
  /** Makes the backup hold an image, or says what it has. `undefined` if the backup is down. */
  readonly ask: (question: Question) => Promise<CloneOutcome | undefined>;
  /** Why nothing more is asked for. */
  readonly outage: () => string | undefined;
  /** Whether missing images are copied. */
  readonly copies: boolean;
  /** Whether images that name the backup already are looked up there. */
  readonly looksUp: boolean;
  /** Of objects that name none. */
  readonly namespace: string;
  readonly signal: AbortSignal;
}

export interface RewrittenText {
  /** The text as it was if there are problems. */
  readonly text: string;
  readonly problems: readonly Note[];
  readonly warnings: readonly Note[];
  /** Number of images that were asked for. */
  readonly images: number;
  /** Images that the backup does not have. */
  readonly missing: readonly string[];
}

interface Rewritten {
  readonly object: ManifestObject;
  readonly operations: readonly Operation[];
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
  readonly images: number;
  readonly missing: readonly string[];
}

const maxConcurrentObjects = 16;

/** Rewrites a stream of YAML documents or JSON. Never rejects because of what the text says. */
export async function rewriteManifests(text: string, deps: RewriteDeps): Promise<RewrittenText> {
  const { documents, objects, problems: malformed } = parseStream(text);
  const noteAt = (offset: number, object: string, message: string): Note => ({
    line: lineOf(text, offset),
    object,
    message,
  });
  const problems = malformed.map(({ offset, message }) => noteAt(offset, '', message));
  const rewritten = await mapConcurrently(objects, maxConcurrentObjects, (object) =>
    rewriteObject(object, deps),
  );
  const edits: TextEdit[] = [];
  for (const { object, operations, problems: refused } of rewritten) {
    problems.push(...refused.map((message) => noteAt(object.offset, object.label, message)));
    try {
      edits.push(...toEdits(text, object, operations));
    } catch (error) {
      if (!(error instanceof UneditableError)) throw error;
      problems.push(noteAt(error.offset, object.label, error.message));
    }
  }
  const warnings = rewritten.flatMap(({ object, warnings: texts }) =>
    texts.map((message) => noteAt(object.offset, object.label, message)),
  );
  const counts = {
    warnings,
    images: rewritten.reduce((sum, { images }) => sum + images, 0),
    missing: [...new Set(rewritten.flatMap(({ missing }) => missing))],
  };
  if (problems.length > 0) return { text, problems, ...counts };
  const edited = applyEdits(text, edits);
  return isAsPatched(edited, documents.length, rewritten)
    ? { text: edited, problems: [], ...counts }
    : {
        text,
        problems: [
          noteAt(0, '', 'an anchor in this text is used in other places too: write it out'),
        ],
        ...counts,
      };
}

async function rewriteObject(object: ManifestObject, deps: RewriteDeps): Promise<Rewritten> {
  const nothing = { object, operations: [], problems: [], warnings: [], images: 0, missing: [] };
  let plan: ReviewPlan;
  try {
    plan = planReview(toReview(object, deps), deps.policy);
  } catch (error) {
    if (!(error instanceof CloneError)) throw error;
    const message = error.message.replace(/^not an AdmissionReview: (request\.object\.)?/, '');
    return { ...nothing, problems: [`malformed: ${message}`] };
  }
  // As in a review, nothing is copied for an object that is denied anyway.
  const asked = isCertainlyDenied(plan) ? [] : plan.images;
  const outcomes = await askAll(asked, plan, deps);
  const absent = await lookUp(plan, deps);
  const failed = asked.filter(({ key }) => outcomes.get(key)?.status !== 'ready');
  const { response } = completeReview(plan, outcomes);
  const { allowed, patch, status, warnings = [] } = response;
  return {
    object,
    operations: patch === undefined ? [] : parsePatch(patch),
    problems: allowed ? [] : [status?.message ?? 'refused'],
    warnings,
    images: asked.length,
    missing: [...failed.map(({ source }) => formatReference(source)), ...absent],
  };
}

async function askAll(
  images: ReviewPlan['images'],
  plan: ReviewPlan,
  deps: RewriteDeps,
): Promise<CloneOutcomes> {
  const asked = images.map(async ({ key, source, backup }) => {
    const outcome = await ask({ source, backup }, plan, deps);
    return [key, outcome] as const;
  });
  return new Map(await Promise.all(asked));
}

/** The images that name the backup, as far as it does not have them. */
async function lookUp(plan: ReviewPlan, deps: RewriteDeps): Promise<readonly string[]> {
  const { workload } = plan;
  if (!deps.looksUp || workload === undefined) return [];
  const named = workload.places.flatMap(
    ({ image }) => parseBackup(image, deps.policy.backup) ?? [],
  );
  const asked = named.map(async (backup) => {
    const outcome = await ask({ source: backup, backup, backupFirst: {} }, plan, deps);
    return outcome.status === 'ready' ? [] : [formatReference(backup)];
  });
  return (await Promise.all(asked)).flat();
}

async function ask(
  image: Pick<Question, 'source' | 'backup' | 'backupFirst'>,
  { request }: ReviewPlan,
  { ask: askFor, outage, copies, signal }: RewriteDeps,
): Promise<CloneOutcome> {
  const { uid, namespace } = request;
  const outcome = await askFor({ ...image, dryRun: !copies, namespace, signal, uid });
  if (outcome === undefined) {
    const message = outage() ?? 'the backup does not answer';
    return { status: 'failed', error: new CloneError('BACKUP_UNAVAILABLE', message) };
  }
  const isPlanned = outcome.status === 'ready' && outcome.result === 'planned';
  return isPlanned ? { status: 'failed', error: createMissing(image.source) } : outcome;
}

function createMissing(source: Reference): CloneError {
  const message = `the backup does not have ${formatReference(source)} as it is now, and nothing is copied: image-cloner clone ${formatReference(source)}`;
  return new CloneError('BACKUP_NOT_FOUND', message);
}

/** The review that the API server would send when the object is created. */
function toReview(object: ManifestObject, { namespace, copies }: RewriteDeps): unknown {
  const { group, version, kind, name, value } = object;
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'rewrite',
      kind: { group, version, kind },
      operation: 'CREATE',
      namespace: object.namespace ?? namespace,
      name,
      dryRun: !copies,
      object: value,
    },
  };
}

function toEdits(
  text: string,
  { document, path }: ManifestObject,
  operations: readonly Operation[],
): readonly TextEdit[] {
  const edited = { text, root: document.contents };
  return operations.map((operation) => {
    const at = [...path, ...operation.path];
    if (operation.kind === 'replace') return replaceText(edited, at, operation.value);
    const change = operation.kind === 'append' ? appendItem : addField;
    return change(edited, at, operation.value);
  });
}

/** Whether the edited text says what the patches make of the objects, and nothing else has changed. */
function isAsPatched(edited: string, documents: number, rewritten: readonly Rewritten[]): boolean {
  const stream = parseStream(edited);
  return (
    stream.problems.length === 0 &&
    stream.documents.length === documents &&
    stream.objects.length === rewritten.length &&
    rewritten.every(({ object, operations }, index) =>
      isSameJson(applyOperations(object.value, operations), stream.objects[index]?.value),
    )
  );
}
