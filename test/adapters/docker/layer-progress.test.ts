import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLayerProgress } from '../../../lib/adapters/docker/layer-progress.ts';

describe('createLayerProgress', () => {
  it('sums the progress of all layers of a pull', () => {
    const layers = createLayerProgress('pull');

    layers.add(line('Downloading', 'a', 10, 100));
    layers.add(line('Downloading', 'b', 5, 50));
    const progress = layers.add(line('Download complete', 'a'));

    assert.deepEqual(progress, { phase: 'pull', doneBytes: 105, totalBytes: 150 });
  });

  it('limits a layer to its total when a push reports tar overhead', () => {
    const progress = createLayerProgress('push').add(line('Pushing', 'a', 307_200, 300_000));

    assert.deepEqual(progress, { phase: 'push', doneBytes: 300_000, totalBytes: 300_000 });
  });

  it('does not count layers that the registry has as moved bytes', () => {
    const layers = createLayerProgress('push');

    layers.add(line('Layer already exists', 'a'));
    layers.add(line('Pushing', 'b', 1, 7));
    layers.add(line('Pushed', 'b'));

    assert.equal(layers.movedBytes(), 7);
  });

  it('reports the first line of a pull as its beginning', () => {
    const progress = createLayerProgress('pull').add(line('Pulling from team/app', '1'));

    assert.deepEqual(progress, { phase: 'pull', doneBytes: 0, totalBytes: 0 });
  });

  it('reports the first line of a push as its beginning, with the size of the pull', () => {
    const layers = createLayerProgress('push', 150);

    assert.deepEqual(layers.add(line('The push refers to repository [backup.test/app]', '')), {
      phase: 'push',
      doneBytes: 0,
      totalBytes: 150,
    });
    assert.deepEqual(layers.add(line('Pushing', 'a', 30, 400)), {
      phase: 'push',
      doneBytes: 30,
      totalBytes: 400,
    });
  });

  it('reports no progress for later daemon lines without byte counts', () => {
    const layers = createLayerProgress('pull');
    layers.add(line('Pulling from team/app', '1'));

    assert.equal(layers.add(line('Pulling fs layer', 'a')), undefined);
    assert.equal(layers.add(line('Download complete', 'never seen')), undefined);
  });
});

function line(
  status: string,
  id: string,
  current?: number,
  total?: number,
): Parameters<ReturnType<typeof createLayerProgress>['add']>[0] {
  const progressDetail =
    current === undefined || total === undefined ? undefined : { current, total };
  return { status, id, progressDetail };
}
