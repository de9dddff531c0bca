import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readBlob } from '../../../../lib/adapters/registry/copy/read-blob.ts';
import { RegistryError } from '../../../../lib/adapters/registry/errors/registry-error.ts';
import { digestOf } from '../../../../lib/image/digest.ts';

/** sha256 of `hello`. */
const digest = 'sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';
const reset = Object.assign(new Error('reset'), { code: 'ECONNRESET' });

interface Bench {
  readonly offsets: number[];
  readonly pauses: number[];
  readonly closed: number[];
  readonly counted: number[];
  /** Bytes of a chunk, and how many chunks were passed on before. */
  readonly gaveWay: (readonly [bytes: number, chunks: number])[];
  readonly chunks: AsyncGenerator<Uint8Array>;
}

/** Each part is one connection: its chunks, and the error that ends it. */
function open(
  parts: readonly (readonly (string | Error)[])[],
  descriptor = { digest, size: 5 },
): Bench {
  const offsets: number[] = [];
  const pauses: number[] = [];
  const closed: number[] = [];
  const counted: number[] = [];
  const gaveWay: Bench['gaveWay'] = [];
  async function* serve(index: number): AsyncGenerator<Uint8Array> {
    try {
      for (const part of parts[index] ?? []) {
        if (part instanceof Error) throw part;
        yield await Promise.resolve(Buffer.from(part));
      }
    } finally {
      closed.push(index);
    }
  }
  const chunks = readBlob({
    descriptor,
    open: (offset) => {
      offsets.push(offset);
      return Promise.resolve(serve(offsets.length - 1));
    },
    backoff: (attempt) => {
      pauses.push(attempt);
      return Promise.resolve();
    },
    onBytes: (bytes) => counted.push(bytes),
    giveWay: async (bytes) => {
      gaveWay.push([bytes, counted.length]);
      await Promise.resolve();
    },
    toError: (error) => new Error('source', { cause: error }),
  });
  return { offsets, pauses, closed, counted, gaveWay, chunks };
}

async function textOf(chunks: AsyncGenerator<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all).toString();
}

/** The text before the error, and its cause. */
async function failureOf({ chunks }: Bench): Promise<readonly [string, unknown]> {
  let seen = '';
  try {
    for await (const chunk of chunks) seen += Buffer.from(chunk).toString();
  } catch (error) {
    assert.ok(error instanceof Error && error.message === 'source', String(error));
    return [seen, error.cause];
  }
  throw new Error('the blob was read without an error');
}

/** Each chunk takes `comesMs` to arrive and `takenMs` to be consumed. */
async function paced(
  sizes: readonly number[],
  { comesMs = 0, takenMs = 0 }: { readonly comesMs?: number; readonly takenMs?: number },
): Promise<number> {
  const chunks = sizes.map((size) => Buffer.alloc(size));
  const all = Buffer.concat(chunks);
  const clock = { now: 0 };
  async function* serve(): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) {
      clock.now += comesMs;
      yield await Promise.resolve(chunk);
    }
  }
  const reader = readBlob({
    descriptor: { digest: digestOf(all), size: all.length },
    open: () => Promise.resolve(serve()),
    backoff: () => Promise.resolve(),
    onBytes: () => undefined,
    giveWay: () => Promise.resolve(),
    toError: (error) => new Error('source', { cause: error }),
    now: () => clock.now,
  });
  let taken = 0;
  for await (const chunk of reader) {
    taken += chunk.length;
    clock.now += takenMs;
  }
  return taken;
}

const kibibyte = 1024;

describe('readBlob with a slow end', () => {
  it('reads a blob over a link of 5 KiB/s', async () => {
    const sizes = Array.from({ length: 40 }, () => 50 * kibibyte);

    assert.equal(await paced(sizes, { comesMs: 10_000 }), 2_000 * kibibyte);
    assert.equal(await paced(sizes, { takenMs: 10_000 }), 2_000 * kibibyte);
  });

  it('rejects a source that sends a byte now and then', async () => {
    await assert.rejects(paced([1, 1, 1, 1], { comesMs: 29_000 }), (error: unknown) => {
      assert.ok(error instanceof Error && error.cause instanceof RegistryError);
      assert.equal(error.cause.message, 'reading a layer: it sends less than 256 KiB in a minute');
      return true;
    });
  });

  it('rejects a backup that accepts a byte now and then, without blaming the source', async () => {
    await assert.rejects(paced([1, 1, 1, 1], { takenMs: 29_000 }), {
      name: 'RegistryError',
      message: 'writing a layer: it accepts less than 256 KiB in a minute',
    });
  });
});

describe('readBlob', () => {
  it('yields a blob that has its size and digest', async () => {
    const bench = open([['he', '', 'llo', '']]);

    assert.equal(await textOf(bench.chunks), 'hello');
    assert.deepEqual([bench.offsets, bench.counted, bench.closed], [[0], [2, 3], [0]]);
  });

  const resumed = [
    ['that ends early', [['he'], ['llo']], [0, 2]],
    ['that is reset', [['he', reset], ['llo']], [0, 2]],
    ['that is reset before the first byte', [[reset], ['hello']], [0, 0]],
    ['that ends early three times', [[], ['h'], ['el'], ['lo']], [0, 0, 1, 3]],
  ] as const;
  for (const [what, parts, offsets] of resumed) {
    it(`resumes a blob after a connection ${what}`, async () => {
      const bench = open(parts);

      assert.equal(await textOf(bench.chunks), 'hello');
      assert.deepEqual(bench.offsets, offsets);
      assert.deepEqual(bench.pauses, [1, 2, 3].slice(0, offsets.length - 1));
    });
  }

  it('waits for its turn before each chunk is passed on', async () => {
    const bench = open([['he', 'llo']]);

    await textOf(bench.chunks);

    assert.deepEqual(bench.gaveWay, [
      [2, 0],
      [3, 1],
    ]);
  });

  it('ignores a connection reset after the last byte of a blob', async () => {
    assert.equal(await textOf(open([['hello', reset]]).chunks), 'hello');
  });

  it('fails with the last error when a blob breaks off for the fourth time', async () => {
    const bench = open([[reset], [], ['h', reset], ['e', reset], ['llo']]);

    const [handedOn, cause] = await failureOf(bench);

    assert.equal(handedOn, 'he');
    assert.ok(cause instanceof RegistryError);
    assert.deepEqual(
      [cause.reason, cause.message, cause.cause],
      ['UNAVAILABLE', 'reading a layer: the connection was reset', reset],
    );
    assert.deepEqual(bench.pauses, [1, 2, 3]);
  });

  it('does not count failures of a blob with a MiB of progress between them', async () => {
    const mebi = 'x'.repeat(1024 * 1024);
    const parts = [[mebi], [mebi], [mebi], [mebi], [mebi], [mebi]];
    const bench = open(parts, {
      digest: 'sha256:00b6b6aabae2722a2fda0b5e9c4c93e3b3ac0a8a2bc6a5a8f1a0dd4c3e4b2d21',
      size: 7 * 1024 * 1024,
    });

    await failureOf(bench);
    assert.deepEqual(bench.pauses, [1, 1, 1, 1, 1, 1, 2, 3]);
  });

  const broken = [
    ['too long', [['hell', 'o!']], 'hell', 'reading a layer: it is longer than the manifest says'],
    [
      'corrupt',
      [['hel', 'lo'.replace('o', '0')]],
      'hel',
      'reading a layer: its content does not match its digest',
    ],
    [
      'corrupt after a resume',
      [['hel'], ['l0']],
      'hel',
      'reading a layer: its content does not match its digest',
    ],
  ] as const;
  for (const [what, parts, seen, message] of broken) {
    it(`withholds the last chunk of a blob that is ${what}, without a retry`, async () => {
      const bench = open(parts);

      const [handedOn, cause] = await failureOf(bench);

      assert.equal(handedOn, seen);
      assert.ok(cause instanceof RegistryError);
      assert.deepEqual([cause.reason, cause.message], ['REFUSED', message]);
      assert.ok(bench.closed.length > 0 && bench.offsets.length <= 2);
    });
  }

  it('does not retry a permanent error of the source', async () => {
    const denied = new RegistryError('DENIED', 'no');
    const bench = open([['he', denied], ['llo']]);

    assert.deepEqual(await failureOf(bench), ['he', denied]);
    assert.deepEqual(bench.offsets, [0]);
  });

  it('does not reopen the source when the consumer of a blob fails', async () => {
    const bench = open([['he', 'llo'], ['llo']]);
    await bench.chunks.next();

    // A stream ends its iterator so when its connection is reset.
    await assert.rejects(bench.chunks.throw(reset), reset);

    assert.deepEqual([bench.offsets, bench.pauses, bench.closed], [[0], [], [0]]);
  });

  it("closes the source's connection when the consumer of a blob stops", async () => {
    const bench = open([['he', 'llo']]);
    await bench.chunks.next();

    await bench.chunks.return(undefined);

    assert.deepEqual(bench.closed, [0]);
  });
});
