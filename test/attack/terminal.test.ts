import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { answer, on } from '../../lib/memory-registry/index.ts';
import { openPod, type Pod } from './pod.ts';

/** Terminal control: colours, clear screen, title, link, bell, text direction, line breaks. */
const commands = [
  ['colours', '\u001b[31mred\u001b[0m'],
  ['a cleared screen', '\u001b[2J\u001b[H'],
  ['a title', '\u001b]0;owned\u0007'],
  ['a link', '\u001b]8;;https://evil.example\u001b\\click\u001b]8;;\u001b\\'],
  ['a C1 control sequence', '\u009b31m'],
  ['line breaks', 'first\r\nError from server: second\n'],
  ['line separators', 'first\u2028second\u2029third'],
  ['another direction', '\u202egnp.exe\u202c'],
  ['invisible characters', '\u200b\u200d\ufeff'],
  ['a lone surrogate', '\ud83d'],
] as const;
const unclean = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

let pod: Pod;
beforeEach(async () => {
  pod = await openPod();
});
afterEach(async () => {
  await pod.close();
});

for (const [what, text] of commands) {
  describe(`registry responses with ${what}`, () => {
    for (const status of [400, 403, 429, 500]) {
      it(`removes ${what} of a ${status} response from what kubectl prints`, async () => {
        const body = JSON.stringify({ errors: [{ code: `X${text}`, message: text }] });
        pod.source.faults.add(on('GET', 'manifest'), answer(status, { body }));
        pod.backup.faults.add(on('POST', 'uploads'), answer(status, { body }));

        const { allowed, message } = await pod.apply();

        assert.equal(allowed, false);
        assert.doesNotMatch(message, unclean);
      });
    }
  });

  describe(`image names with ${what}`, () => {
    it(`removes ${what} of an image name from the refusal`, async () => {
      const { allowed, message } = await pod.apply(`app${text}:1`);

      assert.equal(allowed, false);
      assert.doesNotMatch(message, unclean);
    });

    it(`removes ${what} of a tag from the refusal`, async () => {
      const { allowed, message } = await pod.apply(`app:1${text}`);

      assert.equal(allowed, false);
      assert.doesNotMatch(message, unclean);
    });
  });
}
