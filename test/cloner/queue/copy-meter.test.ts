import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type CopyMeter, createCopyMeter } from '../../../lib/cloner/queue/copy-meter.ts';

const mib = 1024 * 1024;

/** A meter and its clock. */
function createFixture(): { readonly meter: CopyMeter; readonly at: (ms: number) => void } {
  let time = 0;
  return {
    meter: createCopyMeter(() => time),
    at: (ms) => {
      time = ms;
    },
  };
}

describe('createCopyMeter', () => {
  it('measures the rate of a copy over the last ten seconds', () => {
    const { meter, at } = createFixture();
    for (let second = 1; second <= 20; second += 1) {
      at(second * 1_000);
      const fast = Math.min(second, 10) * 10 * mib;
      const slow = Math.max(0, second - 10) * mib;
      meter.note({ phase: 'copy', doneBytes: fast + slow, totalBytes: 200 * mib });
    }

    const { bytesPerSecond, remainingMs, elapsedMs } = meter.read();

    assert.equal(elapsedMs, 20_000);
    assert.equal(bytesPerSecond, mib);
    assert.equal(remainingMs, 90_000);
  });

  it('counts layers that the backup already holds as done, but not in the rate', () => {
    const { meter, at } = createFixture();
    meter.note({ phase: 'copy', doneBytes: 0, totalBytes: 100 * mib, movedBytes: 0 });
    at(100);
    meter.note({ phase: 'copy', doneBytes: 80 * mib, totalBytes: 100 * mib, movedBytes: 0 });
    at(2_000);
    meter.note({ phase: 'copy', doneBytes: 84 * mib, totalBytes: 100 * mib, movedBytes: 4 * mib });

    const { now, bytesPerSecond, remainingMs } = meter.read();

    assert.equal(now?.doneBytes, 84 * mib);
    assert.equal(bytesPerSecond, 2 * mib);
    assert.equal(remainingMs, 8_000);
  });

  it('includes the push that follows in the estimate of a pull', () => {
    const { meter, at } = createFixture();
    at(1_000);
    meter.note({ phase: 'pull', doneBytes: 112 * mib, totalBytes: 260 * mib });

    assert.equal(Math.round(meter.read().remainingMs ?? 0), 3_643);
  });

  it('measures the rate of a copy anew when the push begins', () => {
    const { meter, at } = createFixture();
    at(1_000);
    meter.note({ phase: 'pull', doneBytes: 260 * mib, totalBytes: 260 * mib });
    meter.note({ phase: 'push', doneBytes: 0, totalBytes: 260 * mib });
    at(2_000);
    meter.note({ phase: 'push', doneBytes: 10 * mib, totalBytes: 260 * mib });

    assert.equal(meter.read().bytesPerSecond, 10 * mib);
    assert.equal(meter.read().remainingMs, 25_000);
  });

  it('reports the idle time and no estimate when a copy transfers no byte', () => {
    const { meter, at } = createFixture();
    at(1_000);
    meter.note({ phase: 'copy', doneBytes: mib, totalBytes: 2 * mib });
    for (let second = 2; second <= 20; second += 1) {
      at(second * 1_000);
      meter.note({ phase: 'copy', doneBytes: mib, totalBytes: 2 * mib });
    }

    const { idleMs, remainingMs, bytesPerSecond } = meter.read();

    assert.deepEqual([idleMs, remainingMs, bytesPerSecond], [19_000, undefined, 0]);
  });

  it('shows the highest progress, and estimates from the actual bytes, after a retry subtracts bytes', () => {
    const { meter, at } = createFixture();
    at(1_000);
    meter.note({ phase: 'copy', doneBytes: 80 * mib, totalBytes: 100 * mib });
    at(2_000);
    meter.note({ phase: 'copy', doneBytes: 20 * mib, totalBytes: 100 * mib });

    const { now, remainingMs } = meter.read();

    assert.equal(now?.doneBytes, 80 * mib);
    assert.equal(remainingMs, 8_000);
  });

  it('reports no rate and no idle time of a copy when the clock goes back', () => {
    const { meter, at } = createFixture();
    at(60_000);
    meter.note({ phase: 'copy', doneBytes: mib, totalBytes: 2 * mib });
    at(0);
    meter.note({ phase: 'copy', doneBytes: 1.5 * mib, totalBytes: 2 * mib });

    const { bytesPerSecond, idleMs } = meter.read();

    assert.deepEqual([bytesPerSecond, idleMs], [undefined, 0]);
  });

  it('never shows a smaller fraction of a copy than before within one phase', () => {
    const size = fc.nat({ max: 1_000 });
    fc.assert(
      fc.property(fc.array(fc.record({ done: size, total: size, pause: size })), (notes) => {
        const { meter, at } = createFixture();
        let [time, before] = [0, 0];
        for (const { done, total, pause } of notes) {
          at((time += pause));
          const doneBytes = Math.min(done, total);
          meter.note({ phase: 'copy', doneBytes, totalBytes: total });
          const { now } = meter.read();
          const share =
            now === undefined || now.totalBytes === 0 ? 0 : now.doneBytes / now.totalBytes;
          assert(share >= before && share <= 1);
          before = share;
        }
      }),
    );
  });
});
