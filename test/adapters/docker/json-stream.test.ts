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
  it('reads JSON lines of a daemon stream that is split at any byte', async () => {
    const bytes = new TextEncoder().encode('{"status":"größe"}\r\n{"status":"b"}\n');

    const seen = await statuses(bytes.slice(0, 14), bytes.slice(14, 15), bytes.slice(15));

    assert.deepEqual(seen, ['größe', 'b']);
  });

  it('reads the last line of a daemon stream without a newline', async () => {
    assert.deepEqual(await statuses('{"status":"a"}\n{"status":"b"}'), ['a', 'b']);
  });

  const failures = [
    ['errorDetail', '{"errorDetail":{"message":"boom"},"error":"other words"}', 'boom'],
    ['error without errorDetail, as old daemons and podman send it', '{"error":"boom"}', 'boom'],
    ['a line that is not JSON', '<html>', 'the response has an invalid line'],
    ['a line with a field of another type', '{"status":7}', 'the response has an invalid line'],
    [
      'a line of more than 1 MiB',
      'x'.repeat(1024 * 1024 + 1),
      'the response has a line of more than 1 MiB',
    ],
  ] as const;
  for (const [what, text, message] of failures) {
    it(`rejects a daemon stream with ${what}`, async () => {
      await assert.rejects(statuses('{"status":"a"}\n', text, '\n{"status":"b"}'), {
        name: 'StreamError',
        message,
      });
    });
  }
});
