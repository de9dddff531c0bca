import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type BlobParts,
  createBlobParts,
  type RunningBlob,
} from '../../../../lib/adapters/registry/copy/blob-parts.ts';
import type { ByteRange } from '../../../../lib/adapters/registry/copy/read-part.ts';
import { RegistryError } from '../../../../lib/adapters/registry/errors/registry-error.ts';
import { CloneError } from '../../../../lib/errors.ts';

const mebibyte = 1024 * 1024;
const chunkBytes = 64 * 1024;
const size = 20 * mebibyte;
const blob = Buffer.alloc(size);
for (let at = 0; at < size; at += 4) blob.writeUInt32LE(at * 7, at);

interface Source {
  readonly parts: BlobParts;
  readonly asked: ByteRange[];
  /** Where the stream was left, once it was. */
  readonly leftAt: () => number | undefined;
  readonly read: (change?: Partial<RunningBlob>) => AsyncGenerator<Uint8Array>;
}

/** A blob whose stream takes `chunkMs` for each 64 KiB. */
function open(
  chunkMs: number,
  openPart: (range: ByteRange) => Promise<AsyncIterable<Uint8Array> | undefined> = serve,
  /** Time that passes besides. */
  otherMs = (): number => 0,
): Source {
  let time = 0;
  let at = 0;
  let isLeft = false;
  const asked: ByteRange[] = [];
  const parts = createBlobParts({ now: () => time + otherMs() });

  async function* stream(): AsyncGenerator<Uint8Array> {
    try {
      for (at = 0; at < size; at += chunkBytes) {
        time += chunkMs;
        // The parts arrive meanwhile.
        await new Promise(setImmediate);
        yield blob.subarray(at, at + chunkBytes);
      }
    } finally {
      isLeft = true;
    }
  }

  return {
    parts,
    asked,
    leftAt: () => (isLeft ? at : undefined),
    read: (change = {}) =>
      parts.speedUp(stream(), {
        host: 'hub.test',
        size,
        offset: 0,
        openPart: (range) => {
          asked.push(range);
          return openPart(range);
        },
        onParts: () => undefined,
        signal: new AbortController().signal,
        ...change,
      }),
  };
}

async function serve({ start, end }: ByteRange): Promise<AsyncIterable<Uint8Array>> {
  return toStream([blob.subarray(start, start + 100), blob.subarray(start + 100, end)]);
}

async function* toStream(chunks: readonly (Uint8Array | Error)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    if (chunk instanceof Error) throw chunk;
    yield await Promise.resolve(chunk);
  }
}

async function collect(chunks: AsyncGenerator<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

const slowMs = 10;
const cut = new RegistryError('UNAVAILABLE', 'cut', { isTransient: true });

describe('createBlobParts', () => {
  it('reads a blob of a fast registry as one stream', async () => {
    const { asked, read } = open(0.1);

    assert.ok((await collect(read())).equals(blob));
    assert.deepEqual(asked, []);
  });

  it('reads the rest of a slow blob in parts of 2 MiB, after the stream has moved 4 MiB', async () => {
    const { asked, leftAt, read } = open(slowMs);

    assert.ok((await collect(read())).equals(blob));
    assert.deepEqual(
      asked.map(({ start, end }) => [start / mebibyte, end / mebibyte]),
      [4, 6, 8, 10, 12, 14, 16, 18].map((start) => [start, start + 2]),
    );
    assert.equal(leftAt(), 4 * mebibyte - chunkBytes);
  });

  it('reads a slow blob with a short rest as one stream', async () => {
    const { asked, read } = open(slowMs);

    await collect(read({ size: 7 * mebibyte }));

    assert.deepEqual(asked, []);
  });

  it('requests six parts at once, of one blob of a host, and of two hosts', async () => {
    const never = Promise.withResolvers<undefined>().promise;
    const { asked, read } = open(slowMs, () => never);
    const ending = new AbortController();
    const { signal } = ending;
    const counts: number[] = [];

    for (const host of ['a.test', 'a.test', 'b.test', 'c.test']) {
      const chunks = read({ host, signal });
      const before = asked.length;
      // The stream moves until its first part is due.
      for (let n = 0; n < 17; n += 1) await chunks.next();
      counts.push(asked.length - before);
    }

    assert.deepEqual(counts, [6, 0, 6, 0]);
    ending.abort();
  });

  it('goes on with the stream if the registry serves no part as requested, and requests none for ten minutes', async () => {
    const { asked, read } = open(slowMs, async () => undefined);

    assert.ok((await collect(read())).equals(blob));
    const before = asked.length;
    assert.ok((await collect(read())).equals(blob));

    assert.ok(before > 0);
    assert.equal(asked.length, before);
  });

  it('goes on with the stream if a connection for a part fails, and tries again with the next blob', async () => {
    const { asked, read } = open(slowMs, () => Promise.reject(cut));

    assert.ok((await collect(read())).equals(blob));
    const before = asked.length;
    assert.ok((await collect(read())).equals(blob));

    assert.equal(asked.length, 2 * before);
  });

  for (const { what, chunks } of [
    { what: 'is cut in the middle', chunks: [blob.subarray(0, 100), cut] },
    { what: 'is shorter than requested', chunks: [blob.subarray(0, 100)] },
    { what: 'is longer than requested', chunks: [blob.subarray(0, 3 * mebibyte)] },
  ]) {
    it(`ends where a part ${what}, with an error after which the caller resumes`, async () => {
      const bad = 10 * mebibyte;
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const { read } = open(slowMs, async (range) => {
        if (range.start !== bad) return await serve(range);
        await late;
        return toStream(chunks);
      });
      let length = 0;
      const reading = (async () => {
        for await (const chunk of read()) {
          length += chunk.length;
          // The stream is left by then.
          if (length > 5 * mebibyte) resolve();
        }
      })();

      await assert.rejects(reading, { reason: 'UNAVAILABLE', isTransient: true });

      assert.ok(length <= bad, `${length} bytes`);
    });
  }

  it('requests no parts from a host that is paused', async () => {
    const { parts, asked, read } = open(slowMs);
    parts.pause('hub.test');

    assert.ok((await collect(read())).equals(blob));

    assert.deepEqual(asked, []);
  });

  it('requests no parts for ten minutes after a rate limit', async () => {
    const limit = new CloneError('SOURCE_RATE_LIMITED', 'slow down', { isTransient: true });
    const { asked, read } = open(slowMs, () => Promise.reject(limit));

    assert.ok((await collect(read())).equals(blob));
    const before = asked.length;
    assert.ok((await collect(read())).equals(blob));

    assert.equal(asked.length, before);
  });

  it('requests parts of the next blob after a blob was not read to its end', async () => {
    const aborted = ({ signal }: { readonly signal: AbortSignal }): Promise<never> =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(new RangeError('aborted')));
      });
    const { asked, read } = open(slowMs);
    const chunks = read({
      openPart: (range, signal) => {
        asked.push(range);
        return aborted({ signal });
      },
    });
    for (let n = 0; n < 17; n += 1) await chunks.next();
    await chunks.return(undefined);
    await new Promise(setImmediate);

    await collect(read());

    assert.equal(asked.length, 6 + 8);
  });

  it('goes on with the stream if a part trickles', async () => {
    let partMs = 0;
    const { read } = open(
      slowMs,
      async (range) => {
        const body = await serve(range);
        async function* trickle(): AsyncGenerator<Uint8Array> {
          for await (const chunk of body) {
            partMs += 31_000;
            yield chunk;
          }
        }
        return trickle();
      },
      () => partMs,
    );

    assert.ok((await collect(read())).equals(blob));
  });

  it('frees the places of a blob that is not read to its end', async () => {
    const { asked, read } = open(slowMs);
    for (let n = 0; n < 5; n += 1) {
      const chunks = read();
      for (let chunk = 0; chunk < 17; chunk += 1) await chunks.next();
      await chunks.return(undefined);
    }

    assert.equal(asked.length, 5 * 6);
  });
});
