import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Arguments, readArguments } from '../../../functions/shared/command-line/index.ts';
import { toVariables, webhook } from '../../../functions/webhook/command.ts';

function read(args: readonly string[]): Arguments {
  return readArguments(args, webhook);
}

describe('toVariables', () => {
  it('sets the variable of each flag of the webhook', () => {
    const args = ['--port', '8443', '--tls-cert-file=/a', '--tls-private-key-file', '/b'];

    assert.deepEqual(toVariables(read(args)), {
      PORT: '8443',
      TLS_CERT_FILE: '/a',
      TLS_PRIVATE_KEY_FILE: '/b',
    });
    assert.deepEqual(read(args).problems, []);
  });

  it('keeps valid flags of the webhook beside unknown ones, and names all unknown ones', () => {
    const args = read(['--prot', '1', '--port=1', '8443', '-v', '--tls-cert-file']);

    assert.deepEqual(toVariables(args), { PORT: '1' });
    assert.deepEqual(args.problems, [
      '--tls-cert-file needs a value',
      'unknown flag --prot; did you mean --port?',
      'unexpected argument "8443"',
      'unknown flag -v',
    ]);
  });

  it('does not take the next flag for the value of a flag', () => {
    const args = read(['--port', '--tls-cert-file', '/a']);

    assert.deepEqual(args.problems, ['--port needs a value']);
    assert.deepEqual(toVariables(args), { TLS_CERT_FILE: '/a' });
  });
});
