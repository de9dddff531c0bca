import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readFlags, usage } from '../../../functions/webhook/flags.ts';

describe('readFlags', () => {
  it('reads the flags as the variables that they win over', () => {
    const args = ['--port', '8443', '--tls-cert-file=/a', '--tls-private-key-file', '/b'];

    assert.deepEqual(readFlags(args), {
      variables: { PORT: '8443', TLS_CERT_FILE: '/a', TLS_PRIVATE_KEY_FILE: '/b' },
      asksForHelp: false,
      problems: [],
    });
  });

  for (const flag of ['--help', '-h']) {
    it(`knows ${flag}`, () => {
      assert.equal(readFlags([flag]).asksForHelp, true);
    });
  }

  it('tells of everything that it does not know, and keeps what it does', () => {
    const { variables, problems } = readFlags(['--prot', '1', '--port=1', '-v', '--tls-cert-file']);

    assert.deepEqual(variables, { PORT: '1' });
    assert.deepEqual(problems, [
      'there is no flag --prot',
      'arguments without a flag mean nothing here',
      'there is no flag -v',
      '--tls-cert-file needs a value',
      usage,
    ]);
  });

  it('never repeats a value, which could be a secret', () => {
    assert.doesNotMatch(
      readFlags(['hunter2', '--password=hunter2']).problems.join('\n'),
      /hunter2/,
    );
  });

  it('takes a flag that would be another flag’s value for a mistake', () => {
    assert.deepEqual(readFlags(['--port', '--tls-cert-file', '/a']).problems, [
      '--port needs a value',
      'arguments without a flag mean nothing here',
      usage,
    ]);
  });
});
