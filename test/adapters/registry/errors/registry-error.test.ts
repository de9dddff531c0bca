import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  RegistryError,
  toCloneError,
  toConnectionError,
} from '../../../../lib/adapters/registry/errors/registry-error.ts';
import {
  type ErrorResponse,
  toRegistryError,
} from '../../../../lib/adapters/registry/errors/response-error.ts';
import { CloneError, type RegistryReason } from '../../../../lib/errors.ts';

const now = Date.UTC(2026, 10, 24, 3, 0, 0);

function body(code: string, message = ''): string {
  return JSON.stringify({ errors: [{ code, message, detail: null }] });
}

describe('toRegistryError', () => {
  const cases: readonly (readonly [number, string, RegistryReason, boolean, string])[] = [
    [400, '', 'REFUSED', false, 'reading: status 400'],
    [
      400,
      body('NAME_INVALID', 'invalid repository name'),
      'REFUSED',
      false,
      'reading: invalid repository name',
    ],
    [400, body('TAG_INVALID', 'tag exists'), 'REFUSED', false, 'reading: tag exists'],
    [401, '', 'DENIED', false, 'reading: status 401'],
    [
      401,
      body('UNAUTHORIZED', 'authentication required'),
      'DENIED',
      false,
      'reading: authentication required',
    ],
    [
      403,
      body('DENIED', 'requested access to the resource is denied'),
      'DENIED',
      false,
      'reading: requested access to the resource is denied',
    ],
    [404, '<html>nginx</html>', 'NOT_FOUND', false, 'reading: status 404'],
    [
      404,
      body('NAME_UNKNOWN', 'no such repository'),
      'NOT_FOUND',
      false,
      'reading: no such repository',
    ],
    [404, body('BLOB_UPLOAD_UNKNOWN', 'gone'), 'REFUSED', true, 'reading: gone'],
    [
      405,
      '',
      'REFUSED',
      false,
      'reading: the method is not allowed (405); is the registry read-only, or a pull-through cache?',
    ],
    [
      405,
      body('UNSUPPORTED', 'System is currently read-only.'),
      'REFUSED',
      false,
      'reading: System is currently read-only (405); is the registry read-only, or a pull-through cache?',
    ],
    [400, body('NAME_INVALID', ''), 'REFUSED', false, 'reading: status 400 (NAME_INVALID)'],
    [400, body('UNKNOWN', ''), 'REFUSED', false, 'reading: status 400'],
    [408, '', 'UNAVAILABLE', true, 'reading: status 408'],
    [409, '', 'REFUSED', false, 'reading: status 409'],
    [412, body('PROJECTPOLICYVIOLATION', 'vulnerable'), 'REFUSED', false, 'reading: vulnerable'],
    [
      413,
      '<html>',
      'REFUSED',
      false,
      'reading: the upload is too large (413); raise the size limit of the registry or of the proxy before it',
    ],
    [415, '', 'REFUSED', false, 'reading: status 415'],
    [425, '', 'UNAVAILABLE', true, 'reading: status 425'],
    [429, body('TOOMANYREQUESTS', 'slow down'), 'RATE_LIMITED', true, 'reading: slow down'],
    [
      429,
      'toomanyrequests: You have reached your limit',
      'RATE_LIMITED',
      true,
      'reading: status 429',
    ],
    [500, '', 'UNAVAILABLE', true, 'reading: status 500'],
    [500, body('UNKNOWN', 'oops'), 'UNAVAILABLE', true, 'reading: status 500 (oops)'],
    [
      403,
      body('DENIED', 'adding 1 MiB will exceed the configured upper limit of 1 GiB'),
      'REFUSED',
      false,
      'reading: no storage left (adding 1 MiB will exceed the configured upper limit of 1 GiB)',
    ],
    [
      403,
      body('DENIED', 'storage quota exceeded'),
      'REFUSED',
      false,
      'reading: no storage left (storage quota exceeded)',
    ],
    [
      429,
      body('TOOMANYREQUESTS', 'pull quota exceeded'),
      'RATE_LIMITED',
      true,
      'reading: pull quota exceeded',
    ],
    [
      507,
      body('DENIED', 'no'),
      'REFUSED',
      false,
      'reading: no space left (507); free space in the registry',
    ],
    [
      500,
      JSON.stringify({
        errors: [{ code: 'UNKNOWN' }, { code: 'MANIFEST_BLOB_UNKNOWN', message: 'no blob' }],
      }),
      'REFUSED',
      false,
      'reading: no blob',
    ],
    [500, body('DENIED', 'no'), 'DENIED', false, 'reading: no'],
    [501, '', 'UNAVAILABLE', false, 'reading: status 501'],
    [502, '<html><h1>Bad Gateway</h1></html>', 'UNAVAILABLE', true, 'reading: status 502'],
    [503, body('UNAVAILABLE', 'later'), 'UNAVAILABLE', true, 'reading: later'],
    [504, '', 'UNAVAILABLE', true, 'reading: status 504'],
    [507, '', 'REFUSED', false, 'reading: no space left (507); free space in the registry'],
    [524, '', 'UNAVAILABLE', true, 'reading: status 524'],
    [307, '', 'REFUSED', false, 'reading: status 307'],
    [400, '{"errors":[]}', 'REFUSED', false, 'reading: status 400'],
    [400, '{"errors":[{"code":7,"message":{}}]}', 'REFUSED', false, 'reading: status 400'],
  ];
  for (const [status, text, reason, isTransient, message] of cases) {
    it(`translates a registry response ${status} with ${text === '' ? 'no body' : text.slice(0, 50)}`, () => {
      const error = toRegistryError('reading', { status, text, now });

      assert.deepEqual(
        [error.reason, error.isTransient, error.message, error.status],
        [reason, isTransient, message, status],
      );
    });
  }

  const pauses = [
    ['7', 7_000],
    ['0', 0],
    ['86400', 86_400_000],
    ['Tue, 24 Nov 2026 03:01:30 GMT', 90_000],
    ['Tue, 24 Nov 2026 02:00:00 GMT', 0],
    ['soon', undefined],
    ['-1', undefined],
    ['3600.5', 3_601_000],
    ['0.2', 1_000],
    ['3600,5', undefined],
    ['1 week', undefined],
    ['Tuesday, 24-Nov-26 03:01:30 GMT', 90_000],
    ['2026-11-24T03:01:30Z', 90_000],
    ['99999999999999999999', undefined],
    // Seconds since 1970.
    ['1795489290', 90_000],
    ['1495489290', 0],
    [undefined, undefined],
  ] as const;
  for (const [retryAfter, expected] of pauses) {
    it(`parses Retry-After: ${retryAfter}`, () => {
      const error = toRegistryError('reading', { status: 429, text: '', retryAfter, now });

      assert.equal(error.retryAfterMs, expected);
    });
  }

  const secrets = [
    [
      'a query',
      'GET https://cdn.test/blob?X-Amz-Signature=5ecret&x=1 failed',
      'GET https://cdn.test/blob failed',
    ],
    ['a user', 'see https://me:5ecret@reg.test/v2/ now', 'see https://reg.test/v2/ now'],
    ['a header', 'bad Authorization: Bearer eyJ5ecret.x-y_z', 'bad Authorization: Bearer …'],
    ['a password', 'Basic YWNtZTo1ZWNyZXQ= is wrong', 'Basic … is wrong'],
    ['control characters', 'a\u001b[31m\nb\u202ec', 'a [31m b c'],
  ] as const;
  for (const [what, said, expected] of secrets) {
    it(`leaves ${what} out of the message of a registry`, () => {
      const error = toRegistryError('reading', { status: 400, text: body('X', said), now });

      assert.equal(error.message, `reading: ${expected}`);
    });
  }

  it('cuts the message of a registry to 200 characters', () => {
    const text = body('X', 'y'.repeat(60_000));

    assert.equal(toRegistryError('a', { status: 400, text, now }).message, `a: ${'y'.repeat(200)}`);
  });
});

describe('toConnectionError', () => {
  const to = { url: new URL('https://reg.test:5000/v2/'), isListedAsInsecure: false };
  const dns = 'resolving the host name reg.test: ';
  const connecting = 'connecting to reg.test:5000: ';
  const unknownCa = `${connecting}its certificate is from an unknown CA; add that CA to REGISTRY_CA_FILE`;
  const notHttps = `${connecting}it does not speak https; if it uses plain http, add it to INSECURE_REGISTRIES`;
  const cases = [
    ['ENOTFOUND', `${dns}the name does not exist`, false],
    ['EAI_AGAIN', `${dns}the DNS server did not answer`, true],
    ['ECONNREFUSED', `${connecting}connection refused`, true],
    ['ECONNRESET', 'reading: the connection was reset', true],
    ['EPIPE', 'reading: the connection was reset', true],
    ['UND_ERR_SOCKET', 'reading: the connection was reset', true],
    ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'reading: the connection was reset', true],
    ['UND_ERR_CONNECT_TIMEOUT', `${connecting}timeout`, true],
    ['UND_ERR_HEADERS_TIMEOUT', 'reading: timeout', true],
    ['UND_ERR_BODY_TIMEOUT', 'reading: timeout', true],
    ['ETIMEDOUT', 'reading: timeout', true],
    [
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      `${connecting}its certificate is self-signed; add it to REGISTRY_CA_FILE`,
      false,
    ],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', unknownCa, false],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', unknownCa, false],
    ['SELF_SIGNED_CERT_IN_CHAIN', unknownCa, false],
    [
      'ERR_TLS_CERT_ALTNAME_INVALID',
      `${connecting}its certificate is for another host name`,
      false,
    ],
    ['CERT_HAS_EXPIRED', `${connecting}its certificate has expired`, false],
    [
      'CERT_NOT_YET_VALID',
      `${connecting}its certificate is not valid yet; check the clock of the node`,
      false,
    ],
    ['CERT_REVOKED', `${connecting}its certificate is invalid`, false],
    [
      'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
      `${connecting}it requires a client certificate, which image-cloner does not have`,
      false,
    ],
    ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', `${connecting}it rejected the TLS handshake`, false],
    ['ERR_SSL_WRONG_VERSION_NUMBER', notHttps, false],
    ['EPROTO', notHttps, false],
    ['HPE_INVALID_CONSTANT', 'reading: its response is not valid HTTP', true],
    ['EHOSTUNREACH', `${connecting}there is no route to it`, true],
    [
      'EMFILE',
      `${connecting}image-cloner has no connections left; raise its limit of open files`,
      true,
    ],
    ['UND_ERR_INVALID_ARG', 'reading: the connection failed', false],
  ] as const;
  for (const [code, expected, isTransient] of cases) {
    it(`translates the connection error ${code}`, () => {
      const cause = Object.assign(new Error('secret words'), { code });
      const error = toConnectionError('reading', cause, to);

      assert.ok(error instanceof RegistryError);
      assert.deepEqual(
        [error.reason, error.message, error.isTransient, error.cause],
        ['UNAVAILABLE', expected, isTransient, cause],
      );
    });
  }

  it('does not advise INSECURE_REGISTRIES for Docker Hub, to which it does not apply', () => {
    const cause = Object.assign(new Error('x'), { code: 'ERR_SSL_WRONG_VERSION_NUMBER' });
    const hub = { url: new URL('https://registry-1.docker.io/v2/'), isListedAsInsecure: false };

    assert.equal(
      toConnectionError('reading', cause, hub).message,
      'connecting to registry-1.docker.io: it does not speak https; check for a proxy between image-cloner and it',
    );
  });

  for (const [isListedAsInsecure, expected] of [
    [
      true,
      'plain http was tried because INSECURE_REGISTRIES lists it; it speaks https: remove it from the list',
    ],
    [false, 'plain http was tried; it speaks https'],
  ] as const) {
    it(`says that plain http was tried at a server that speaks https${isListedAsInsecure ? ' and that INSECURE_REGISTRIES lists' : ''}`, () => {
      const cause = Object.assign(new Error('x'), { code: 'HPE_INVALID_CONSTANT' });
      const plain = { url: new URL('http://reg.test:5000/v2/'), isListedAsInsecure };

      assert.equal(
        toConnectionError('reading', cause, plain).message,
        `connecting to reg.test:5000: ${expected}`,
      );
    });
  }

  it('translates a connection error by the code of its cause', () => {
    const inner = Object.assign(new Error('inner'), { code: 'ECONNREFUSED' });

    assert.equal(
      toConnectionError('reading', new TypeError('fetch failed', { cause: inner }), to).message,
      'connecting to reg.test:5000: connection refused',
    );
  });

  it('drops the bytes and the certificate of a remote host from a connection error', () => {
    const error = Object.assign(new Error('Response does not match the HTTP/1.1 protocol'), {
      code: 'HPE_INVALID_CONSTANT',
      data: 'x'.repeat(100_000),
      cert: { raw: new Uint8Array(100_000) },
    });

    const { cause } = toConnectionError('reading a layer', error);

    assert.equal(cause, error);
    assert.deepEqual(Object.keys(error), ['code']);
  });

  it('returns a connection error that is translated already as it is', () => {
    const known = new CloneError('SOURCE_REFUSED', 'corrupt');

    assert.equal(toConnectionError('reading', known), known);
  });

  it('translates a thrown value that is not an Error into a connection error', () => {
    assert.equal(toConnectionError('reading', 'boo').message, 'reading: the connection failed');
  });
});

describe('toCloneError', () => {
  const image = { domain: 'reg.test', path: 'team/app', tag: '1' };
  const cases: readonly (readonly [RegistryReason, string, string])[] = [
    [
      'NOT_FOUND',
      'reg.test does not have all of reg.test/team/app:1 (reading: x)',
      'the backup registry reg.test does not have reg.test/team/app:1 (reading: x)',
    ],
    [
      'DENIED',
      'reg.test denied access to reg.test/team/app:1: the image is private or does not exist',
      'the backup registry reg.test denied access to reg.test/team/app:1 (reading: x); check the user in registry-auth and its permissions',
    ],
    [
      'RATE_LIMITED',
      'reg.test rejected the request for reg.test/team/app:1: rate limit; try again later, or authenticate (SOURCE_AUTH_FILE) to get a separate limit',
      'the backup registry reg.test rejected the request for reg.test/team/app:1: rate limit; try again later',
    ],
    [
      'UNAVAILABLE',
      'reg.test cannot be reached for reg.test/team/app:1: reading: x',
      'the backup registry reg.test cannot be reached for reg.test/team/app:1: reading: x',
    ],
    [
      'UNSUPPORTED',
      'reg.test/team/app:1 cannot be copied: reading: x',
      'reg.test/team/app:1 cannot be copied: reading: x',
    ],
    [
      'REFUSED',
      'reg.test did not serve reg.test/team/app:1: reading: x',
      'the backup registry reg.test did not serve reg.test/team/app:1: reading: x',
    ],
  ];
  for (const [reason, ofSource, ofBackup] of cases) {
    for (const side of ['source', 'backup'] as const) {
      it(`names the image and the cause of ${reason} at the ${side}`, () => {
        const options = reason === 'DENIED' ? { status: 401 } : {};
        const cause = new RegistryError(reason, 'reading: x', options);
        const error = toCloneError(cause, { side, image });

        assert.ok(error instanceof CloneError);
        assert.deepEqual(
          [error.code, error.message, error.cause],
          [
            `${side === 'source' ? 'SOURCE' : 'BACKUP'}_${reason}`,
            side === 'source' ? ofSource : ofBackup,
            cause,
          ],
        );
      });
    }
  }

  const foreign =
    'its token server evil.test belongs to another site, so the password was not sent';
  const blocked = body('DENIED', 'blocked by policy\n"cve" 7\u001b[31m');
  const denials: readonly (readonly [string, Partial<ErrorResponse>, string, string])[] = [
    [
      'in the words of the registry',
      { text: blocked },
      `reg.test denied access to reg.test/team/app:1: it says "blocked by policy 'cve' 7 [31m"`,
      'the backup registry reg.test denied access to reg.test/team/app:1 (reading: blocked by policy "cve" 7 [31m); check the user in registry-auth and its permissions',
    ],
    [
      'in the words of a registry that sends plain text',
      { text: 'blocked by the proxy of ACME\n' },
      'reg.test denied access to reg.test/team/app:1: it says "blocked by the proxy of ACME"',
      'the backup registry reg.test denied access to reg.test/team/app:1 (reading: blocked by the proxy of ACME); check the user in registry-auth and its permissions',
    ],
    [
      'without the HTML of a proxy',
      { text: '<html>blocked</html>' },
      'reg.test denied access to reg.test/team/app:1: the image is private or does not exist',
      'the backup registry reg.test denied access to reg.test/team/app:1 (reading: status 403); check the user in registry-auth and its permissions',
    ],
    [
      'without words that say no more than the status',
      { text: body('DENIED', 'requested access to the resource is denied') },
      'reg.test denied access to reg.test/team/app:1: the image is private or does not exist',
      'the backup registry reg.test denied access to reg.test/team/app:1 (reading: requested access to the resource is denied); check the user in registry-auth and its permissions',
    ],
    [
      'of a request with credentials',
      { use: { credentials: 'sent' } },
      'reg.test denied access to reg.test/team/app:1 with the credentials given: the image is private or does not exist',
      'the backup registry reg.test denied access to reg.test/team/app:1 (reading: status 403); check the user in registry-auth and its permissions',
    ],
    [
      'of rejected credentials in the words of the token server',
      {
        text: '{"details":"incorrect username or password"}',
        status: 401,
        speaker: 'its token server',
        use: { credentials: 'rejected' },
      },
      'reg.test denied access to reg.test/team/app:1 with the credentials given: its token server says "incorrect username or password"',
      'the backup registry reg.test rejected the credentials in registry-auth for reg.test/team/app:1 (reading: incorrect username or password); update the Secret, or the permissions of its user',
    ],
    [
      'of a request without its password',
      { use: { withheld: foreign } },
      `reg.test denied access to reg.test/team/app:1: ${foreign}`,
      `the backup registry reg.test denied access to reg.test/team/app:1 (reading: status 403; ${foreign})`,
    ],
    [
      'of a request without its password in the words of the registry',
      { text: body('DENIED', 'members only'), use: { withheld: foreign } },
      `reg.test denied access to reg.test/team/app:1: it says "members only"; ${foreign}`,
      `the backup registry reg.test denied access to reg.test/team/app:1 (reading: members only; ${foreign})`,
    ],
    [
      'of the host that the registry referred to',
      { host: 'other.test' },
      'reg.test refers to other.test, which denied access to reg.test/team/app:1: the image is private or does not exist',
      'the backup registry reg.test refers to other.test, which denied access to reg.test/team/app:1 (reading: status 403); check the user in registry-auth and its permissions',
    ],
  ];
  for (const [what, response, ofSource, ofBackup] of denials) {
    it(`describes a denial ${what}`, () => {
      const cause = toRegistryError('reading', { status: 403, text: '', now, ...response });
      const messages = (['source', 'backup'] as const).map((side) => {
        const error = toCloneError(cause, { side, image });
        return error instanceof CloneError ? error.message : '';
      });

      assert.deepEqual(messages, [ofSource, ofBackup]);
    });
  }

  it('reports a 503 as an error response, not as unreachable', () => {
    const cause = new RegistryError('UNAVAILABLE', 'reading: status 503', { status: 503 });

    const error = toCloneError(cause, { side: 'source', image });

    assert.ok(error instanceof CloneError);
    assert.equal(
      error.message,
      'reg.test returned an error for reg.test/team/app:1: reading: status 503',
    );
  });

  const writes = [
    [
      'NOT_FOUND',
      'the backup registry reg.test does not have reg.test/team/app:1 (writing: x); if it creates no repository on push, create it first',
    ],
    ['REFUSED', 'the backup registry reg.test did not accept reg.test/team/app:1: writing: x'],
  ] as const;
  for (const [reason, expected] of writes) {
    it(`describes ${reason} of a write to the backup`, () => {
      const cause = new RegistryError(reason, 'writing: x');
      const error = toCloneError(cause, { side: 'backup', image, isWrite: true });

      assert.ok(error instanceof CloneError);
      assert.equal(error.message, expected);
    });
  }

  const names = [
    ['backup', 'acme/quay.io__a__b', '; if it does not accept "__" in names, set NAMING=nested'],
    ['backup', 'acme/quay.io/a/b', '; if it accepts only two levels of names, set NAMING=flat'],
    ['backup', 'acme/nginx', ''],
    ['source', 'acme/quay.io__a__b', ''],
  ] as const;
  for (const [side, path, advice] of names) {
    it(`${advice === '' ? 'gives no advice' : `advises ${advice.split(' set ')[1]}`} for the name ${path} that a ${side} refuses`, () => {
      const text = 'starting an upload: status 400 (NAME_INVALID)';
      const cause = new RegistryError('REFUSED', text, { status: 400, code: 'NAME_INVALID' });

      const error = toCloneError(cause, {
        side,
        image: { domain: 'reg.test', path },
        isWrite: true,
      });

      assert.ok(error instanceof CloneError);
      assert.ok(error.message.endsWith(`${path}: ${text}${advice}`), error.message);
    });
  }

  it('says "later" for a rate limit of more than a day', () => {
    const cause = new RegistryError('RATE_LIMITED', 'x', { retryAfterMs: 86_401_000 });

    const error = toCloneError(cause, { side: 'backup', image });

    assert.ok(error instanceof CloneError);
    assert.match(error.message, /: rate limit; try again later$/);
  });

  it('names the time until a rate limit ends in the error', () => {
    const cause = new RegistryError('RATE_LIMITED', 'x', { retryAfterMs: 40_000 });
    const error = toCloneError(cause, { side: 'source', image });

    assert.ok(error instanceof CloneError);
    assert.equal(error.retryAfterMs, 40_000);
    assert.equal(
      error.message,
      'reg.test rejected the request for reg.test/team/app:1: rate limit; try again in 40 s, or authenticate (SOURCE_AUTH_FILE) to get a separate limit',
    );
  });

  it('names the host that limits requests if the registry referred to it, without advice about credentials', () => {
    const options = { retryAfterMs: 40_000, host: 'cdn.test' };
    const cause = new RegistryError('RATE_LIMITED', 'reading a layer: status 429', options);
    const error = toCloneError(cause, { side: 'source', image });

    assert.ok(error instanceof CloneError);
    assert.equal(error.limitedHost, 'cdn.test');
    assert.equal(
      error.message,
      'reg.test refers to cdn.test, which rejected the request for reg.test/team/app:1: rate limit; try again in 40 s',
    );
  });

  it('names the host that returned an error if the registry referred to it', () => {
    const options = { status: 503, host: 'cdn.test' };
    const cause = new RegistryError('UNAVAILABLE', 'reading a layer: status 503', options);
    const error = toCloneError(cause, { side: 'source', image });

    assert.ok(error instanceof CloneError);
    assert.equal(error.limitedHost, undefined);
    assert.equal(
      error.message,
      'reg.test refers to cdn.test, which returned an error for reg.test/team/app:1: reading a layer: status 503',
    );
  });

  it('returns an error that no registry caused as it is', () => {
    const bug = new TypeError('bug');

    assert.equal(toCloneError(bug, { side: 'source', image }), bug);
  });
});
