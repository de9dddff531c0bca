import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setRecent } from '../../lib/util/bounded-map.ts';

describe('setRecent', () => {
  it('forgets what was set longest ago', () => {
    const map = new Map([['a', 1]]);

    setRecent(map, 'b', 2, 2);
    setRecent(map, 'c', 3, 2);

    assert.deepEqual(
      [...map],
      [
        ['b', 2],
        ['c', 3],
      ],
    );
  });

  it('takes what is set again for the latest', () => {
    const map = new Map([
      ['a', 1],
      ['b', 2],
    ]);

    setRecent(map, 'a', 3, 2);
    setRecent(map, 'c', 4, 2);

    assert.deepEqual(
      [...map],
      [
        ['a', 3],
        ['c', 4],
      ],
    );
  });
});
