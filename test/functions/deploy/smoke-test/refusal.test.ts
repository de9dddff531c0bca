import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isAboutBackup } from '../../../../functions/deploy/smoke-test/refusal.ts';

const image = 'reg.test/backup/image-cloner:1';
const denied = 'admission webhook "x" denied the request: container "image-cloner-probe":';

describe('isAboutBackup', () => {
  const cases = [
    { said: `${denied} reg.test does not let us read ${image}: it is private`, expected: false },
    { said: `${denied} ${image} does not exist on reg.test`, expected: false },
    { said: `${denied} the backup registry b.test refuses the credentials`, expected: true },
    { said: `${denied} b.test/x:1 exists in the backup and was not written by us`, expected: true },
  ];
  for (const { said, expected } of cases) {
    it(`says ${expected} of "${said.slice(denied.length + 1)}"`, () => {
      assert.equal(isAboutBackup(said, image), expected);
    });
  }
});
