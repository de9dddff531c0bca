import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findMissingParts, type NodeWithBlobs, readTree } from '../../lib/image/image-tree.ts';

const tooLarge = (message: string): Error => new RangeError(message);

/** Serves manifests from a table, and lists what was read. */
function open(table: Readonly<Record<string, Partial<NodeWithBlobs>>>): {
  readonly reads: string[];
  readonly read: (digest: string, depth: number) => Promise<NodeWithBlobs | undefined>;
} {
  const nodes = new Map(Object.entries(table));
  const reads: string[] = [];
  return {
    reads,
    read: (digest, depth) => {
      reads.push(`${digest} ${depth}`);
      const node = nodes.get(digest);
      return Promise.resolve(node && { children: [], blobs: [], ...node });
    },
  };
}

describe('readTree', () => {
  it('reads each manifest of an image once, and lists children before parents', async () => {
    const { read, reads } = open({
      root: { children: ['b', 'a', 'c'] },
      a: { children: ['b', 'd'] },
      b: {},
      d: {},
    });

    const { nodes, missing } = await readTree('root', { read, maxConcurrent: 1, tooLarge });

    assert.deepEqual([...nodes.keys()], ['b', 'd', 'a', 'root']);
    assert.deepEqual(missing, ['c']);
    assert.deepEqual(reads, ['root 0', 'b 1', 'a 1', 'c 1', 'd 2']);
  });

  it('stops reading an image when a manifest lists itself', async () => {
    const { read } = open({ root: { children: ['root'] } });

    const { nodes } = await readTree('root', { read, maxConcurrent: 1, tooLarge });

    assert.deepEqual([...nodes.keys()], ['root']);
  });

  it('limits how many children of an index it reads at once', async () => {
    let running = 0;
    let most = 0;
    const read = async (digest: string): Promise<NodeWithBlobs> => {
      running += 1;
      most = Math.max(most, running);
      await new Promise(setImmediate);
      running -= 1;
      const children = digest === 'root' ? Array.from({ length: 10 }, (_, n) => `${n}`) : [];
      return { children, blobs: [] };
    };

    await readTree('root', { read, maxConcurrent: 4, tooLarge });

    assert.equal(most, 4);
  });

  it('reads no further manifest after one that is rejected', async () => {
    const reads: string[] = [];
    const read = async (digest: string): Promise<NodeWithBlobs> => {
      reads.push(digest);
      await new Promise(setImmediate);
      if (digest === 'bad') throw new RangeError('bad');
      return { children: digest === 'root' ? ['good', 'bad', 'next', 'last'] : [], blobs: [] };
    };

    await assert.rejects(readTree('root', { read, maxConcurrent: 1, tooLarge }), RangeError);

    await new Promise(setImmediate);
    await new Promise(setImmediate);
    assert.deepEqual(reads, ['root', 'good', 'bad']);
  });

  for (const [count, isAllowed] of [
    [999, true],
    [1_000, false],
  ] as const) {
    it(`${isAllowed ? 'reads' : 'rejects'} an index of ${count} manifests`, async () => {
      const read = (digest: string): Promise<NodeWithBlobs> => {
        const children = Array.from({ length: count }, (_, n) => `${n}`);
        return Promise.resolve({ children: digest === 'root' ? children : [], blobs: [] });
      };
      const reading = readTree('root', { read, maxConcurrent: 1, tooLarge });

      if (isAllowed) assert.equal((await reading).nodes.size, count + 1);
      else {
        const message = 'it has more than 1000 manifests';
        await assert.rejects(reading, { name: 'RangeError', message });
      }
    });
  }
});

describe('findMissingParts', () => {
  const image = { root: { children: ['a', 'b'] }, a: { blobs: ['x', 'y'] }, b: { blobs: ['y'] } };

  async function find(
    table: Parameters<typeof open>[0],
    held: readonly string[],
  ): Promise<{ readonly missing: readonly string[]; readonly checked: readonly string[] }> {
    const checked: string[] = [];
    const missing = await findMissingParts('root', {
      read: open(table).read,
      hasBlob: (digest) => {
        checked.push(digest);
        return Promise.resolve(held.includes(digest));
      },
      maxConcurrent: 2,
      tooLarge,
    });
    return { missing, checked };
  }

  it('finds no missing part in a complete image, and checks each blob once', async () => {
    assert.deepEqual(await find(image, ['x', 'y']), { missing: [], checked: ['x', 'y'] });
  });

  it('finds a missing blob of an image', async () => {
    assert.deepEqual((await find(image, ['x'])).missing, ['y']);
  });

  it('checks no blob of an image when a manifest is missing', async () => {
    const { root, a } = image;

    assert.deepEqual(await find({ root, a }, ['x', 'y']), { missing: ['b'], checked: [] });
  });
});
