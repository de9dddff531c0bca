import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CloneError } from '../../lib/errors.ts';
import { createImageEvents, type ImageEvents } from '../../lib/events/index.ts';
import type { CloneOutcome, EndedReview } from '../../lib/ports/index.ts';

const backup = { domain: 'registry.example.com', path: 'backups/nginx', tag: '1.27' };
const pending: CloneOutcome = { status: 'pending', detail: '43 %', retryAfterSeconds: 1 };
const fallback: CloneOutcome = {
  status: 'ready',
  image: backup,
  result: 'fallback',
  bytes: 0,
  durationMs: 1,
  warnings: ['using the backup of nginx:1.27: docker.io is down'],
};
const copied: CloneOutcome = { ...fallback, result: 'copied', warnings: [] };

function setUp(): { readonly events: ImageEvents; readonly told: readonly string[] } {
  const told: string[] = [];
  const events = createImageEvents({
    record: ({ namespace, object, type, reason, message }) =>
      told.push(`${namespace} ${object.kind}/${object.name} ${type} ${reason}: ${message}`),
  });
  return { events, told };
}

function ended(change: Partial<EndedReview> & { readonly outcome?: CloneOutcome }): EndedReview {
  const { outcome, ...rest } = change;
  const images = outcome === undefined ? [] : [{ image: 'nginx:1.27', backup, outcome }];
  const object = { group: 'apps', kind: 'Deployment', namespace: 'shop', name: 'web', uid: 'u1' };
  return { object, dryRun: false, images, ...rest };
}

const newObject = { group: 'apps', kind: 'Deployment', namespace: 'shop', name: 'web' };

describe('createImageEvents', () => {
  it('tells of a copy that goes on behind the answer, and of its end', () => {
    const { events, told } = setUp();

    events.reviewEnded(ended({ outcome: pending }));
    events.copyEnded({ backup });

    assert.deepEqual(told, [
      'shop Deployment/web Normal Copying: copying nginx:1.27 into the backup',
      'shop Deployment/web Normal Copied: copied nginx:1.27 into the backup',
    ]);
  });

  it('tells why a copy behind the answer failed', () => {
    const { events, told } = setUp();

    events.reviewEnded(ended({ outcome: pending }));
    events.copyEnded({ backup, error: new CloneError('SOURCE_UNAVAILABLE', 'docker.io is down') });

    assert.equal(told[1], 'shop Deployment/web Warning CopyFailed: nginx:1.27: docker.io is down');
  });

  it('tells nothing of a copy that the review waited for', () => {
    const { events, told } = setUp();

    events.copyEnded({ backup });
    events.reviewEnded(ended({ outcome: copied }));

    assert.deepEqual(told, []);
  });

  it('tells of a refused new object at its namespace, because the object does not exist', () => {
    const { events, told } = setUp();

    events.reviewEnded(ended({ object: newObject, refusal: 'container "web": no such image' }));

    assert.deepEqual(told, [
      'shop Namespace/shop Warning Refused: Deployment web: container "web": no such image',
    ]);
  });

  it('tells of a refused update at the object', () => {
    const { events, told } = setUp();

    events.reviewEnded(ended({ refusal: 'no such image' }));

    assert.deepEqual(told, ['shop Deployment/web Warning Refused: no such image']);
  });

  it('tells of a backup that is used because its source failed', () => {
    const { events, told } = setUp();

    events.reviewEnded(ended({ outcome: fallback }));

    assert.deepEqual(told, [
      'shop Deployment/web Warning UsedBackup: using the backup of nginx:1.27: docker.io is down',
    ]);
  });

  it('tells nothing of a dry run', () => {
    const { events, told } = setUp();

    events.reviewEnded(ended({ dryRun: true, outcome: pending, refusal: 'no' }));
    events.copyEnded({ backup });

    assert.deepEqual(told, []);
  });

  it('tells each namespace of its own objects only, and of ten objects at most', () => {
    const { events, told } = setUp();
    for (let n = 0; n < 20; n += 1) {
      const object = { ...newObject, namespace: `ns-${n}` };
      events.reviewEnded(ended({ object, outcome: pending }));
    }
    const begun = told.length;

    events.copyEnded({ backup });

    assert.equal(begun, 20);
    assert.deepEqual(
      told.slice(begun).map((line) => line.split(' ')[0]),
      Array.from({ length: 10 }, (_, n) => `ns-${n}`),
    );
  });
});
