import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseToken } from '../../../../lib/adapters/registry/auth/token.ts';

describe('parseToken', () => {
  const cases = [
    ['token', '{"token":"a"}', 'a', 54_000],
    ['access_token', '{"access_token":"b"}', 'b', 54_000],
    ['access_token before token', '{"token":"a","access_token":"b"}', 'b', 54_000],
    ['token if access_token is empty', '{"token":"a","access_token":""}', 'a', 54_000],
    ['token if access_token is null', '{"token":"a","access_token":null}', 'a', 54_000],
    ['nine tenths of a lifetime of 300 seconds', '{"token":"a","expires_in":300}', 'a', 270_000],
    ['a lifetime below 60 seconds as 60', '{"token":"a","expires_in":5}', 'a', 54_000],
    ['a negative lifetime as 60 seconds', '{"token":"a","expires_in":-1}', 'a', 54_000],
    ['a lifetime in words as 60 seconds', '{"token":"a","expires_in":"soon"}', 'a', 54_000],
    ['a lifetime of null as 60 seconds', '{"token":"a","expires_in":null}', 'a', 54_000],
  ] as const;
  for (const [what, body, value, usableMs] of cases) {
    it(`parses ${what} of a token response`, () => {
      assert.deepEqual(parseToken(body), { value, usableMs });
    });
  }

  const bad = [
    ['an empty body', ''],
    ['HTML', '<html>please log in</html>'],
    ['no token', '{}'],
    ['an empty token', '{"token":""}'],
    ['a token that would split the header', '{"token":"secret\\r\\nX-Evil: 1"}'],
    ['a token with a space', '{"token":"secret secret"}'],
    ['a token that is not ASCII', '{"token":"secrét"}'],
    ['a token longer than a header may be', `{"token":"${'a'.repeat(16 * 1024 + 1)}"}`],
    ['a number', '{"token":42}'],
    ['a list', '[]'],
    ['null', 'null'],
  ] as const;
  for (const [what, body] of bad) {
    it(`rejects a token response with ${what} without quoting it`, () => {
      assert.throws(
        () => parseToken(body),
        (error: unknown) => {
          assert.ok(error instanceof Error);
          assert.equal(error.message, 'authenticating: its token server sent no valid token');
          assert.equal(error.cause, undefined);
          return true;
        },
      );
    });
  }
});
