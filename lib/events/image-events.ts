import { canonicalReference, type Reference } from '../image/reference.ts';
import type { EndedReview, EventObject, Observer } from '../ports/index.ts';
import { createBoundedMap } from '../util/bounded-map.ts';
import type { EventRecorder } from './recorder.ts';

/** Turns what happens to images into Events. */
export type ImageEvents = Required<Pick<Observer, 'reviewEnded' | 'copyEnded'>>;

/** Objects whose review was answered before the copy had ended. */
interface Waiting {
  readonly namespace: string;
  readonly object: EventObject;
  readonly image: string;
}

const maxWaiting = 1_000;
/** Reviews of many objects can wait for one copy. */
const maxObjectsPerCopy = 10;

export function createImageEvents({ record }: EventRecorder): ImageEvents {
  const waiting = createBoundedMap<string, readonly Waiting[]>(maxWaiting);

  function wait(backup: Reference, one: Waiting): void {
    const key = canonicalReference(backup);
    const known = waiting.get(key) ?? [];
    const isKnown = known.some(
      ({ namespace, object }) =>
        namespace === one.namespace &&
        object.kind === one.object.kind &&
        object.name === one.object.name,
    );
    if (!isKnown && known.length < maxObjectsPerCopy) waiting.set(key, [...known, one]);
  }

  return {
    reviewEnded(review) {
      const { namespace } = review.object;
      if (review.dryRun || namespace === '') return;
      const object = toEventObject(review);
      const subject = { namespace, object };
      const about =
        object.kind === 'Namespace' ? `${review.object.kind} ${review.object.name}: ` : '';
      if (review.refusal !== undefined) {
        record({
          ...subject,
          type: 'Warning',
          reason: 'Refused',
          message: `${about}${review.refusal}`,
        });
      }
      for (const { image, backup, outcome } of review.images) {
        if (outcome.status === 'pending' && outcome.stage !== 'postponed') {
          wait(backup, { ...subject, image });
          // Without the progress, so that repetitions are counted in one Event.
          record({
            ...subject,
            type: 'Normal',
            reason: 'Copying',
            message: `copying ${image} into the backup`,
          });
        }
        if (outcome.status === 'ready' && outcome.result === 'fallback') {
          const message = `${about}${outcome.warnings.join('; ')}`;
          record({ ...subject, type: 'Warning', reason: 'UsedBackup', message });
        }
      }
    },
    copyEnded({ backup, error }) {
      const key = canonicalReference(backup);
      const objects = waiting.get(key) ?? [];
      waiting.delete(key);
      for (const { image, ...subject } of objects) {
        record(
          error === undefined
            ? {
                ...subject,
                type: 'Normal',
                reason: 'Copied',
                message: `copied ${image} into the backup`,
              }
            : {
                ...subject,
                type: 'Warning',
                reason: 'CopyFailed',
                message: `${image}: ${error.message}`,
              },
        );
      }
    },
  };
}

/** An object that does not exist yet has no uid, so its namespace stands for it. */
function toEventObject({
  object: { group, kind, namespace, name, uid },
}: EndedReview): EventObject {
  if (uid === undefined || uid === '' || name === '') {
    return { apiVersion: 'v1', kind: 'Namespace', name: namespace };
  }
  return { apiVersion: group === '' ? 'v1' : `${group}/v1`, kind, name, uid };
}
