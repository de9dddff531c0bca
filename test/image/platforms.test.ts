import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { originOf } from '../../lib/image/platforms.ts';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'b'.repeat(64)}`;

describe('originOf', () => {
  it('hashes the digest of a source and the list of platforms', () => {
    // printf 'sha256:%s linux/amd64,linux/arm64/v8' $(printf 'a%.0s' $(seq 64)) | sha256sum
    assert.equal(
      originOf(A, ['linux/amd64', 'linux/arm64/v8']),
      '577cef7c844091708ddfabc6c283e69d51f15ec164b125a04171eaece52aca44',
    );
  });

  it('differs for another source and for another list', () => {
    const origins = [
      originOf(A, ['linux/amd64']),
      originOf(B, ['linux/amd64']),
      originOf(A, ['linux/amd64', 'linux/arm64']),
      originOf(A, ['linux/arm64']),
    ];

    assert.equal(new Set(origins).size, 4);
  });
});
