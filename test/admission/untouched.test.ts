import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import * as v from 'valibot';
import { parseReview } from '../../lib/admission/review.ts';
import { isUntouched } from '../../lib/admission/untouched.ts';
import { isWorkload } from '../../lib/admission/workload.ts';
import { completeReview, planReview } from '../../lib/index.ts';
import { propertyRuns } from '../support/property-runs.ts';
import { policy, type ReviewOptions, review } from '../support/reviews.ts';

const { backup } = policy();

const bodySchema = v.looseObject({
  request: v.looseObject({
    uid: v.string(),
    object: v.optional(v.unknown()),
    oldObject: v.optional(v.unknown()),
  }),
});

function isUntouchedReview(options: ReviewOptions): boolean {
  return isUntouched(parseReview(review(options)), backup);
}

function deployment(spec: object, metadata: unknown = {}): object {
  return { metadata, spec: { template: { metadata: {}, spec } } };
}

const copied = { containers: [{ name: 'web', image: 'acme/nginx:1.27' }] };

describe('isUntouched', () => {
  it('is true for a Deployment whose images are all in the backup', () => {
    const spec = {
      ...copied,
      initContainers: [{ name: 'migrate', image: 'acme/alpine:3.12' }],
      volumes: [{ name: 'data', emptyDir: {} }],
      imagePullSecrets: [{ name: 'backup' }],
    };
    const metadata = {
      labels: { app: 'web' },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Thing', controller: true }],
    };

    assert.equal(isUntouchedReview({ object: deployment(spec, metadata) }), true);
  });

  it('is true for a Pod, which is its own template', () => {
    assert.equal(isUntouchedReview({ kind: '/Pod', object: { spec: copied } }), true);
  });

  it('is undecided for an update that changes an image', () => {
    const oldObject = deployment({ containers: [{ name: 'web', image: 'nginx' }] });

    assert.equal(isUntouchedReview({ object: deployment(copied), oldObject }), false);
  });

  const others = [
    { name: 'an image outside of the backup', spec: { containers: [{ image: 'nginx' }] } },
    { name: 'a name that is no image', spec: { containers: [{ image: 'acme/Nginx' }] } },
    { name: 'no image yet', spec: { containers: [{ name: 'web' }] } },
    {
      name: 'imagePullPolicy: Never',
      spec: { containers: [{ image: 'acme/nginx', imagePullPolicy: 'Never' }] },
    },
    {
      name: 'an image volume',
      spec: { ...copied, volumes: [{ name: 'data', image: { reference: 'acme/nginx' } }] },
    },
    { name: 'containers that are no list', spec: { containers: {} } },
    { name: 'a container that is no object', spec: { containers: ['acme/nginx'] } },
    { name: 'a label that is no text', spec: copied, metadata: { labels: { app: 1 } } },
    { name: 'an owner without a kind', spec: copied, metadata: { ownerReferences: [{}] } },
    { name: 'metadata that is a list', spec: copied, metadata: [] },
  ];
  for (const { name, spec, metadata } of others) {
    it(`leaves to the schemas an object with ${name}`, () => {
      assert.equal(isUntouchedReview({ object: deployment(spec, metadata) }), false);
    });
  }

  it('leaves to the schemas an update whose old object is malformed', () => {
    const oldObject = deployment({ containers: 'web' });

    assert.equal(isUntouchedReview({ object: deployment(copied), oldObject }), false);
  });

  const folder = join(import.meta.dirname, '../fixtures/reviews');
  const recorded = readdirSync(folder)
    .map((file) => readFileSync(join(folder, file), 'utf8'))
    .map((text) => text.replaceAll(/("image": ")[^"]+"/g, '$1acme/nginx:1.27"'))
    .filter((text) => isWorkload(parseReview(JSON.parse(text))));
  const values = [
    null,
    '',
    'nginx',
    'acme/nginx:2',
    'Never',
    ' ',
    7,
    true,
    [],
    [null],
    {},
    { a: 1 },
  ];

  it('agrees with the schemas on recorded reviews with a changed value', () => {
    const change = fc.record({
      text: fc.constantFrom(...recorded),
      field: fc.nat(400),
      value: fc.constantFrom(...values),
    });
    let untouched = 0;

    fc.assert(
      fc.property(change, ({ text, field, value }) => {
        let index = 0;
        const alter = (object: unknown): unknown =>
          JSON.parse(JSON.stringify(object ?? null), (_key, old: unknown) => {
            index += 1;
            return index === field ? value : old;
          });
        const body = v.parse(bodySchema, JSON.parse(text));
        const { object, oldObject } = body.request;
        const request = { ...body.request, object: alter(object), oldObject: alter(oldObject) };
        const altered = { ...body, request };
        if (!isUntouched(parseReview(altered), backup)) return;
        untouched += 1;
        const { response } = completeReview(
          planReview(altered, policy({ backupPullSecret: 'backup' })),
          new Map(),
        );
        assert.deepEqual(response, { uid: body.request.uid, allowed: true });
      }),
      propertyRuns(5_000),
    );

    assert.ok(untouched > 100, `only ${untouched} objects were untouched`);
  });
});
