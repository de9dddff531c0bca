import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toMatchConditions } from '../../lib/install/match-conditions.ts';

// test/real/gen.real.ts evaluates these expressions in a real API server.

describe('toMatchConditions', () => {
  it('reviews an UPDATE only if the pod, its template or the backfill annotation changed', () => {
    assert.deepEqual(toMatchConditions(undefined), [
      {
        name: 'images-may-have-changed',
        expression: `request.operation != 'UPDATE' ||
request.kind.kind == 'Pod' && object.?spec != oldObject.?spec ||
object.?spec.?template != oldObject.?spec.?template ||
object.?spec.?jobTemplate != oldObject.?spec.?jobTemplate ||
object.?template != oldObject.?template ||
object.?metadata.?annotations[?'image-cloner/backfill'] != oldObject.?metadata.?annotations[?'image-cloner/backfill']`,
      },
      {
        name: 'not-opted-out',
        expression: `[object.?metadata.?labels[?'image-cloner'], object.?spec.?template.?metadata.?labels[?'image-cloner'], object.?spec.?jobTemplate.?spec.?template.?metadata.?labels[?'image-cloner'], object.?template.?metadata.?labels[?'image-cloner']].all(label, label != optional.of('disabled'))`,
      },
    ]);
  });

  it('reviews only objects with an image outside a known backup', () => {
    const conditions = toMatchConditions({ domain: 'registry.corp:5000', namespace: 'team/acme' });

    assert.equal(conditions.length, 3);
    assert.deepEqual(conditions[2], {
      name: 'image-outside-backup',
      expression: `[?object.?spec, ?object.?spec.?template.?spec, ?object.?spec.?jobTemplate.?spec.?template.?spec, ?object.?template.?spec].exists(pod,
  [?pod.?containers, ?pod.?initContainers, ?pod.?ephemeralContainers].exists(items, type(items) == list && items.exists(item,
    [?item.?image].exists(image, type(image) == string && image != '' && !image.startsWith('registry.corp:5000/team/acme/')))) ||
  [?pod.?volumes].exists(items, type(items) == list && items.exists(item,
    [?item.?image.?reference].exists(image, type(image) == string && image != '' && !image.startsWith('registry.corp:5000/team/acme/')))))`,
    });
  });

  const onDockerHub = [
    { namespace: 'acme', prefixes: ['acme/', 'docker.io/acme/', 'index.docker.io/acme/'] },
    // `acme.corp/x` is read as a registry of that name.
    { namespace: 'acme.corp', prefixes: ['docker.io/acme.corp/', 'index.docker.io/acme.corp/'] },
    { namespace: 'localhost', prefixes: ['docker.io/localhost/', 'index.docker.io/localhost/'] },
  ];
  for (const { namespace, prefixes } of onDockerHub) {
    it(`excludes every spelling of the namespace ${namespace} on Docker Hub`, () => {
      const [, , outside] = toMatchConditions({ domain: 'docker.io', namespace });

      const found = [...(outside?.expression ?? '').matchAll(/startsWith\('([^']*)'\)/g)];
      assert.deepEqual(
        found.map(([, prefix]) => prefix),
        // Once for containers, once for volumes.
        [...prefixes, ...prefixes],
      );
    });
  }
});
