import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isAboutBackup } from '../../../../functions/deploy/smoke-test/test-pod.ts';

const image = 'reg.test/backup/image-cloner:1';
const denied = 'admission webhook "x" denied the request: container "image-cloner-probe":';

describe('isAboutBackup', () => {
  const cases = [
    {
      message: `${denied} reg.test denied access to ${image}: the image is private or does not exist`,
      expected: false,
    },
    { message: `${denied} ${image} does not exist on reg.test`, expected: false },
    { message: `${denied} the backup registry b.test rejected the credentials`, expected: true },
    {
      message: `${denied} b.test/x:1 exists in the backup but image-cloner did not write it`,
      expected: true,
    },
  ];
  for (const { message, expected } of cases) {
    it(`isAboutBackup is ${expected} for the refusal "${message.slice(denied.length + 1)}"`, () => {
      assert.equal(isAboutBackup(message, image), expected);
    });
  }
});
