import * as v from 'valibot';
import {
  findOriginal,
  originalImagesAnnotation,
  parseOriginalImages,
  tryParse,
} from '../../admission/original-images.ts';
import type { ReviewPolicy } from '../../admission/policy.ts';
import type { Workload } from '../../admission/workload.ts';
import { CloneError } from '../../errors.ts';
import type { Reference } from '../../image/reference.ts';
import type { PullSecretRefs, StoredWorkload } from '../../ports/index.ts';
import { assess, explainExempt, type PlaceAssessment } from '../assess.ts';
import { parseBackup } from '../originals.ts';
import { descend, parseStoredObject } from '../stored-workload.ts';
import type { VerifiedImage } from './verification.ts';

/** A place that names a copy, with what its check needs. */
export interface NamedCopy extends Pick<VerifiedImage, 'stored' | 'label' | 'image'> {
  readonly copy: Reference;
  /** What it is a copy of, as far as the annotation is right. */
  readonly original?: Reference;
  readonly pod?: PullSecretRefs;
}

/** What is known of an object without asking a registry. */
export interface ListedImages {
  readonly copies: readonly NamedCopy[];
  readonly known: readonly VerifiedImage[];
}

/** Objects of these groups are checked themselves, with the pods that they will start. */
const builtInGroups = ['apps', 'batch', ''];

const finishedSchema = v.array(v.object({ type: v.string(), status: v.string() }));

/** Lists the images of one object. A malformed object is one unchecked image. */
export function listCopies(stored: StoredWorkload, policy: ReviewPolicy): ListedImages {
  try {
    return list(stored, policy);
  } catch (error) {
    if (!(error instanceof CloneError)) throw error;
    const object = { stored, label: '', image: '' };
    return { copies: [], known: [{ ...object, state: 'unchecked', what: error.message }] };
  }
}

function list(stored: StoredWorkload, policy: ReviewPolicy): ListedImages {
  // The annotation of a backfill has the webhook look at every image, as this does.
  const { plan, places } = assess(stored, policy, 'verify');
  const workload = plan.workload ?? parseStoredObject(stored);
  const left = explainLeft(stored, workload, plan.workload === undefined);
  const records = [parseOriginalImages(workload.annotations.get(originalImagesAnnotation))];
  const copies: NamedCopy[] = [];
  const known: VerifiedImage[] = [];
  for (const assessed of places) {
    const { place } = assessed;
    const { label, image } = place;
    // An edited name of a copy is one that the webhook would look at again.
    const mayBeCopy = assessed.state === 'rewritten' || assessed.state === 'rewritable';
    const copy = mayBeCopy ? parseBackup(image, policy.backup) : undefined;
    if (left !== undefined) {
      known.push({ stored, label, image, state: 'left', what: `skipped: ${left}` });
    } else if (copy === undefined) {
      known.push({ stored, label, image, ...describe(assessed) });
    } else {
      const recorded = findOriginal(place, copy, records, policy.backup);
      const original = recorded === undefined ? undefined : tryParse(recorded);
      copies.push({
        stored,
        label,
        image,
        copy,
        ...(original !== undefined && !(original instanceof CloneError) && { original }),
        ...(plan.pod !== undefined && { pod: plan.pod }),
      });
    }
  }
  return { copies, known };
}

/** Why it does not matter whether the object could start, or how another object answers that. */
function explainLeft(
  stored: StoredWorkload,
  workload: Workload,
  isExempt: boolean,
): string | undefined {
  const { controller } = workload;
  if (controller !== undefined && builtInGroups.includes(controller.group)) {
    return `its ${controller.kind} counts`;
  }
  if (isFinished(stored)) return 'it has ended';
  return isExempt ? explainExempt(stored, workload) : undefined;
}

function isFinished({ kind, object }: StoredWorkload): boolean {
  if (kind.kind !== 'Job') return false;
  const { success, output } = v.safeParse(finishedSchema, descend(object, '/status/conditions'));
  return (
    success &&
    output.some(({ type, status }) => ['Complete', 'Failed'].includes(type) && status === 'True')
  );
}

function describe(assessed: PlaceAssessment): Pick<VerifiedImage, 'state' | 'what'> {
  switch (assessed.state) {
    case 'ignored':
      return { state: 'left', what: `ignored: ${assessed.reason}` };
    case 'refused':
      return { state: 'outside', what: `the object names no copy: ${assessed.reason}` };
    case 'rewritable':
    case 'rewritten':
      return { state: 'outside', what: 'the object names no copy' };
  }
}
