import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  formatObstacle,
  type Obstacle,
  toDenial,
  toRetry,
  toWarning,
} from '../../lib/admission/status.ts';
import type { ImagePlace } from '../../lib/admission/workload.ts';
import { CloneError, type CloneErrorCode } from '../../lib/errors.ts';

function place(label: string): ImagePlace {
  return { pointer: '', label, id: '', position: '', image: 'nginx', neverPulled: false };
}

function obstacle(name: string, code: CloneErrorCode, reason: string): Obstacle {
  return { places: [place(`container "${name}"`)], reason, error: new CloneError(code, reason) };
}

describe('toDenial', () => {
  it('is 403 and names the container, the image and the registry', () => {
    const gone = obstacle('web', 'SOURCE_NOT_FOUND', 'nginx:9.99 does not exist on docker.io');

    assert.deepEqual(toDenial([gone]), {
      code: 403,
      reason: 'Forbidden',
      message: 'container "web": nginx:9.99 does not exist on docker.io',
    });
  });

  it('is 422 where every image can never be right', () => {
    const status = toDenial([
      obstacle('a', 'INVALID_REFERENCE', '"A" is not a valid image name'),
      obstacle('b', 'INVALID_REFERENCE', '"B" is not a valid image name'),
    ]);

    assert.deepEqual(status, {
      code: 422,
      message:
        'container "a": "A" is not a valid image name; container "b": "B" is not a valid image name',
    });
  });

  it('is 403 where some are', () => {
    const status = toDenial([
      obstacle('a', 'INVALID_REFERENCE', 'one'),
      obstacle('b', 'SOURCE_DENIED', 'other'),
    ]);

    assert.deepEqual(status, {
      code: 403,
      reason: 'Forbidden',
      message: 'container "a": one; container "b": other',
    });
  });

  it('names twenty of many, and says how many more there are', () => {
    const many = Array.from({ length: 10_000 }, (_, i) =>
      obstacle(`c${i}`, 'SOURCE_DENIED', 'refused'),
    );

    const { message } = toDenial(many);

    assert.match(message, /^container "c0": refused; container "c1": refused; /);
    assert.match(message, /; container "c19": refused; and 9980 more$/);
  });

  it('names all containers of one image', () => {
    const places = ['a', 'b'].map((name) => place(`container "${name}"`));

    assert.equal(
      toDenial([{ places, reason: 'gone' }]).message,
      'container "a", container "b": gone',
    );
  });

  it('prints one line without control characters', () => {
    const status = toDenial([obstacle('web', 'SOURCE_DENIED', 'a\nb\u001b[31m\u202ec')]);

    assert.equal(status.message, 'container "web": a b [31m c');
  });
});

function wait(retryAfterSeconds: number): Obstacle {
  return { places: [], reason: '', retryAfterSeconds };
}

describe('toRetry', () => {
  it('has the shape that makes client-go come back', () => {
    const copying: Obstacle = {
      places: [place('container "web"')],
      reason: 'still copying nginx:1.27: 43 %, 112 of 260 MiB pulled',
      retryAfterSeconds: 7,
    };

    assert.deepEqual(toRetry([copying]), {
      code: 504,
      reason: 'Timeout',
      message: 'container "web": still copying nginx:1.27: 43 %, 112 of 260 MiB pulled',
      details: { retryAfterSeconds: 7 },
    });
  });

  it('waits for the slowest, and for one second at least', () => {
    assert.equal(toRetry([wait(3), wait(9), wait(1)]).details?.retryAfterSeconds, 9);
    assert.equal(toRetry([wait(0)]).details?.retryAfterSeconds, 1);
  });
});

describe('formatObstacle', () => {
  it('shortens a long list of containers', () => {
    const places = Array.from({ length: 22 }, (_, i) => place(`c${i}`));

    assert.match(formatObstacle({ places, reason: 'gone' }), /^c0, c1, .*, c19, 2 more: gone$/);
  });
});

describe('toWarning', () => {
  it('leaves 120 characters alone', () => {
    assert.equal(toWarning('w'.repeat(120)), 'w'.repeat(120));
  });

  it('cuts what is longer', () => {
    assert.equal(toWarning('w'.repeat(121)), `${'w'.repeat(119)}…`);
  });

  it('does not cut a character in two', () => {
    assert.equal(toWarning(`${'w'.repeat(118)}🚢🚢`), `${'w'.repeat(118)}…`);
  });
});
