import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatBytes, formatBytesOf, formatDuration } from '../../lib/util/quantity.ts';

const kib = 1024;
const mib = 1024 * kib;

describe('formatDuration', () => {
  const rows: readonly (readonly [number, string])[] = [
    [-5, '0 s'],
    [1, '1 s'],
    [118_001, '119 s'],
    [120_000, '2 min'],
    [121_000, '3 min'],
    [7_200_000, '2 h'],
  ];
  for (const [ms, text] of rows) {
    it(`formats a duration of ${ms} ms as ${text}, rounded up`, () => {
      assert.equal(formatDuration(ms), text);
    });
  }
});

describe('formatBytes', () => {
  const rows: readonly (readonly [number, string])[] = [
    [0, '0 KiB'],
    [1, '1 KiB'],
    [12 * kib, '12 KiB'],
    [mib, '1.0 MiB'],
    [5.5 * mib, '5.5 MiB'],
    [12 * mib, '12 MiB'],
    [260.4 * mib, '260 MiB'],
  ];
  for (const [bytes, text] of rows) {
    it(`formats a size of ${bytes} bytes as ${text}`, () => {
      assert.equal(formatBytes(bytes), text);
    });
  }
});

describe('formatBytesOf', () => {
  const rows: readonly (readonly [number, number, string])[] = [
    [3 * kib, 12 * kib, '3 of 12 KiB'],
    [0, 954 * mib, '0.0 of 954 MiB'],
    [12 * kib, 2 * mib, '0.0 of 2.0 MiB'],
    [112 * mib, 260 * mib, '112 of 260 MiB'],
  ];
  for (const [done, total, text] of rows) {
    it(`formats ${done} of ${total} bytes in the unit of the total: ${text}`, () => {
      assert.equal(formatBytesOf(done, total), text);
    });
  }
});
