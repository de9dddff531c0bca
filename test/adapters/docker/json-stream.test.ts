import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readLines } from '../../../lib/adapters/docker/json-stream.ts';

async function* chunks(
  ...parts: readonly (string | Uint8Array)[]
): AsyncGenerator<string | Uint8Array> {
  yield* parts;
}

async function statuses(...parts: readonly (string | Uint8Array)[]): Promise<readonly string[]> {
  const seen: string[] = [];
  await readLines(chunks(...parts), ({ status }) => seen.push(status));
  return seen;
}

describe('readLines', () => {
  it('reads lines however the bytes are cut', async () => {
    const bytes = new TextEncoder().encode('{"status":"größe"}\r\n{"status":"b"}\n');

    const seen = await statuses(bytes.slice(0, 14), bytes.slice(14, 15), bytes.slice(15));

    assert.deepEqual(seen, ['größe', 'b']);
  });

  it('reads a last line without an end', async () => {
    assert.deepEqual(await statuses('{"status":"a"}\n{"status":"b"}'), ['a', 'b']);
  });

  const failures = [
    ['errorDetail', '{"errorDetail":{"message":"boom"},"error":"other words"}', 'boom'],
    ['error alone, as old daemons and podman say it', '{"error":"boom"}', 'boom'],
    ['garbage', '<html>', 'the answer has a line that cannot be read'],
    ['another shape', '{"status":7}', 'the answer has a line that cannot be read'],
    ['a line without end', 'x'.repeat(1024 * 1024 + 1), 'a line of the answer has no end'],
  ] as const;
  for (const [what, text, message] of failures) {
    it(`rejects ${what}`, async () => {
      await assert.rejects(statuses('{"status":"a"}\n', text, '\n{"status":"b"}'), {
        name: 'StreamError',
        message,
      });
    });
  }
});
