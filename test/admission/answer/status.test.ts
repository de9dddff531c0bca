import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  formatProblem,
  type ImageProblem,
  toDenial,
  toProblems,
  toRetry,
} from '../../../lib/admission/answer/status.ts';
import type { ImagePlace } from '../../../lib/admission/workload.ts';
import { CloneError, type CloneErrorCode } from '../../../lib/errors.ts';

const D = `sha256:${'d'.repeat(64)}`;

function place(label: string, image = 'nginx'): ImagePlace {
  return { pointer: '', label, id: '', position: '', image, neverPulled: false };
}

function problem(
  name: string,
  code: CloneErrorCode,
  reason: string,
  image = 'nginx',
): ImageProblem {
  const places = [place(`container "${name}"`, image)];
  return { places, image, reason, error: new CloneError(code, reason) };
}

describe('toDenial', () => {
  it('denies with 403 and names the container, the image and the registry', () => {
    const reason = 'nginx:9.99 does not exist on docker.io';

    assert.deepEqual(toDenial([problem('web', 'SOURCE_NOT_FOUND', reason, 'nginx:9.99')]), {
      code: 403,
      reason: 'Forbidden',
      message: 'container "web": nginx:9.99 does not exist on docker.io',
    });
  });

  it('denies with 422 if no image can become valid', () => {
    const status = toDenial([
      problem('a', 'INVALID_REFERENCE', '"A" is not a valid image name', 'A'),
      problem('b', 'INVALID_REFERENCE', '"B" is not a valid image name', 'B'),
    ]);

    assert.deepEqual(status, {
      code: 422,
      message:
        'container "a": "A" is not a valid image name; container "b": "B" is not a valid image name',
    });
  });

  it('denies with 403 if only some images cannot become valid', () => {
    const status = toDenial([
      problem('a', 'INVALID_REFERENCE', 'one'),
      problem('b', 'SOURCE_DENIED', 'other'),
    ]);

    assert.deepEqual(status, {
      code: 403,
      reason: 'Forbidden',
      message: 'container "a": nginx: one; container "b": nginx: other',
    });
  });

  it('lists twenty problems in a denial and counts the others', () => {
    const many = Array.from({ length: 10_000 }, (_, i) =>
      problem(`c${i}`, 'SOURCE_DENIED', 'refused'),
    );

    const { message } = toDenial(many);

    assert.match(message, /^container "c0": nginx: refused; container "c1": nginx: refused; /);
    assert.match(message, /; container "c19": nginx: refused; and 9980 more$/);
  });

  it('names every container of an image in a denial', () => {
    const places = ['a', 'b'].map((name) => place(`container "${name}"`));

    assert.equal(
      toDenial([{ places, image: 'nginx', reason: 'gone' }]).message,
      'container "a", container "b": nginx: gone',
    );
  });

  it('prints a denial in one line without control characters', () => {
    const status = toDenial([problem('web', 'SOURCE_DENIED', 'a\nb\u001b[31m\u202ec')]);

    assert.equal(status.message, 'container "web": nginx: a b [31m c');
  });
});

function wait(retryAfterSeconds: number): ImageProblem {
  return { places: [], image: '', reason: '', retryAfterSeconds };
}

describe('toRetry', () => {
  it('answers retry with the code, reason and field that make client-go retry', () => {
    const copying: ImageProblem = {
      places: [place('container "web"')],
      image: 'nginx:1.27',
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

  it('answers retry after the longest estimate, and after at least one second', () => {
    assert.equal(toRetry([wait(3), wait(9), wait(1)]).details?.retryAfterSeconds, 9);
    assert.equal(toRetry([wait(0)]).details?.retryAfterSeconds, 1);
  });
});

describe('toProblems', () => {
  const source = { domain: 'docker.io', path: 'library/nginx', tag: '1' };
  const backup = { domain: 'registry.corp', path: 'backups/nginx', tag: '1' };

  it('reports one problem for each spelling of an image', () => {
    const error = new CloneError('SOURCE_NOT_FOUND', 'nginx:9 does not exist on docker.io');
    const places = [
      place('container "a"', 'nginx:9'),
      place('container "b"', 'docker.io/library/nginx:9'),
      place('container "c"', 'nginx:9'),
    ];
    const outcome = { status: 'failed', error } as const;

    assert.deepEqual(toProblems({ places, source, backup }, outcome).map(formatProblem), [
      'container "a", container "c": nginx:9 does not exist on docker.io',
      'container "b": docker.io/library/nginx:9: nginx:9 does not exist on docker.io',
    ]);
  });

  it('names the image as written while it is copied or queued', () => {
    const places = [place('container "a"', 'docker.io/nginx:1'), place('container "b"', 'nginx:1')];
    const planned = { places, source, backup };
    const waiting = { status: 'pending', stage: 'waiting', retryAfterSeconds: 3 } as const;

    assert.deepEqual(toProblems(planned, undefined).map(formatProblem), [
      'container "a": still copying docker.io/nginx:1',
      'container "b": still copying nginx:1',
    ]);
    assert.deepEqual(
      toProblems(planned, { ...waiting, detail: 'next in the queue' }).map(formatProblem),
      [
        'container "a": docker.io/nginx:1 waits to be copied: next in the queue',
        'container "b": nginx:1 waits to be copied: next in the queue',
      ],
    );
  });

  const advice =
    "; the backup's credentials are not used for other images: SOURCE_AUTH_FILE opens them, and IGNORE_IMAGES=";
  const denied: readonly (readonly [
    name: string,
    code: CloneErrorCode,
    source: readonly [domain: string, path: string],
    backup: string,
    advice: string,
  ])[] = [
    [
      "names both ways for a private image on the backup's own registry",
      'SOURCE_DENIED',
      ['registry.corp', 'team/web/app'],
      'registry.corp',
      `${advice}registry.corp/team/web/** leaves them unchanged`,
    ],
    [
      "names the image itself if a private image on the backup's own registry has no folder",
      'SOURCE_DENIED',
      ['registry.corp', 'app'],
      'registry.corp',
      `${advice}registry.corp/app leaves them unchanged`,
    ],
    [
      'gives no advice about IGNORE_IMAGES for a private image on another registry',
      'SOURCE_DENIED',
      ['quay.io', 'team/app'],
      'registry.corp',
      '',
    ],
    [
      'gives no advice about IGNORE_IMAGES for a misspelt official image if the backup is on Docker Hub',
      'SOURCE_DENIED',
      ['docker.io', 'library/ngnix'],
      'docker.io',
      '',
    ],
    [
      "gives no advice about IGNORE_IMAGES for an absent image on the backup's own registry",
      'SOURCE_NOT_FOUND',
      ['registry.corp', 'team/app'],
      'registry.corp',
      '',
    ],
  ];
  for (const [name, code, [domain, path], host, expected] of denied) {
    it(name, () => {
      const planned = {
        places: [place('container "a"')],
        source: { domain, path, tag: '1' },
        backup: { domain: host, path: 'backups/app', tag: '1' },
      };
      const error = new CloneError(code, 'it did not work');

      const [problem] = toProblems(planned, { status: 'failed', error });

      assert.equal(problem?.reason, `it did not work${expected}`);
    });
  }
});

describe('formatProblem', () => {
  it('shortens a long list of containers in a problem', () => {
    const places = Array.from({ length: 22 }, (_, i) => place(`c${i}`));

    assert.match(
      formatProblem({ places, image: 'nginx', reason: 'gone' }),
      /^c0, c1, .*, c19, 2 more: nginx: gone$/,
    );
  });

  const named: readonly (readonly [image: string, reason: string])[] = [
    ['nginx:9', 'nginx:9 does not exist on docker.io'],
    ['nginx:9', 'no time was left for nginx:9'],
    ['nginx:9', 'no time was left for nginx:9.'],
    ['nginx:9', 'using the backup of nginx:9: it is gone'],
    ['nginx:9', 'acme/nginx:9 is not the backup of nginx:9'],
    ['nginx:1.27', `nginx:1.27@${D} does not exist on docker.io`],
    ['a"b', 'is a"b an image?'],
    [' ', '" " is not a valid image name'],
  ];
  for (const [image, reason] of named) {
    it(`adds no image where the reason names it: ${reason}`, () => {
      assert.equal(formatProblem({ places: [place('c')], image, reason }), `c: ${reason}`);
    });
  }

  const unnamed: readonly (readonly [image: string, reason: string])[] = [
    ['nginx:1.27', 'backup registry registry.corp did not answer'],
    ['nginx:1.27', 'acme/nginx:1.27 was not written by image-cloner'],
    ['nginx:1.27', 'nginx:1.27-alpine does not exist on docker.io'],
    ['nginx:1.27', 'nginx:1.27.1 does not exist on docker.io'],
    ['nginx', `nginx:1.27@${D} does not exist on docker.io`],
    ['nginx', 'nginx:latest does not exist on docker.io'],
    ['docker.io/library/nginx:9', 'nginx:9 does not exist on docker.io'],
    ['127', '127.0.0.1:5000 did not answer'],
  ];
  for (const [image, reason] of unnamed) {
    it(`puts ${image} before a reason that does not name it: ${reason}`, () => {
      assert.equal(
        formatProblem({ places: [place('c')], image, reason }),
        `c: ${image}: ${reason}`,
      );
    });
  }

  it('does not repeat a text that is too long for an image name in a problem', () => {
    const image = 'A'.repeat(1_025);

    assert.equal(formatProblem({ places: [place('c')], image, reason: 'invalid' }), 'c: invalid');
  });
});
