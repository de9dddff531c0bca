import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withoutLog } from '../../../functions/deploy/kubectl.ts';

const logged =
  'E1129 02:33:58.128636   24886 memcache.go:265] "Unhandled Error" err="couldn\'t get current server API group list"';

describe('withoutLog', () => {
  it('removes klog lines before the error of kubectl', () => {
    const refused = 'The connection to the server localhost:8080 was refused';
    assert.equal(withoutLog(`${logged}\n${logged}\n${refused}\n`), refused);
  });

  it('keeps klog lines of kubectl if there is nothing else', () => {
    assert.equal(withoutLog(`${logged}\n`), logged);
  });

  it('keeps the warnings of the API server in the error of kubectl', () => {
    const text = 'Warning: policy/v1beta1 is deprecated\nError from server (NotFound): x';
    assert.equal(withoutLog(`${text}\n`), text);
  });
});
