import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { parseMediaType, readBody } from '../../../../lib/adapters/registry/http/response.ts';

describe('readBody', () => {
  it('rejects a response body that takes longer than two minutes', async () => {
    let now = 0;
    async function* trickle(): AsyncGenerator<Buffer> {
      for (;;) {
        now += 50_000;
        yield await Promise.resolve(Buffer.from('{'));
      }
    }
    const body = Readable.from(trickle());

    await assert.rejects(
      readBody({ body }, 1_000, 'reading its manifest', () => now),
      {
        name: 'RegistryError',
        message: 'reading its manifest: the response takes longer than 120 s',
      },
    );
  });
});

describe('parseMediaType', () => {
  const index = 'application/vnd.oci.image.index.v1+json';
  const cases = [
    [`${index}; charset=utf-8`, index],
    [` ${index.toUpperCase()} ;`, index],
    [undefined, ''],
  ] as const;
  for (const [header, expected] of cases) {
    it(`parses the media type ${JSON.stringify(header)}`, () => {
      assert.equal(parseMediaType(header), expected);
    });
  }
});
