import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createBoundedMap } from '../../lib/util/bounded-map.ts';

describe('createBoundedMap', () => {
  it('evicts the entry that was set longest ago when a bounded map is full', () => {
    const map = createBoundedMap<string, number>(2);

    map.set('a', 1);
    map.set('b', 2);
    map.set('c', 3);

    assert.deepEqual(
      [...map.entries()],
      [
        ['b', 2],
        ['c', 3],
      ],
    );
  });

  it('makes an entry of a bounded map the newest when it is set again', () => {
    const map = createBoundedMap<string, number>(2);

    map.set('a', 1);
    map.set('b', 2);
    map.set('a', 3);
    map.set('c', 4);

    assert.deepEqual(
      [...map.entries()],
      [
        ['a', 3],
        ['c', 4],
      ],
    );
  });
});
