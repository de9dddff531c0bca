import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toCloneError } from '../../../lib/adapters/docker/daemon-error.ts';
import type { CloneErrorCode, Side } from '../../../lib/index.ts';

interface Row {
  readonly said: string;
  readonly status?: number;
  readonly side?: Side;
  readonly code: CloneErrorCode;
  readonly message: string;
}

/** The daemon's texts, word for word as dockerd 20.10.24 gave them on loopback; `status` absent: in a stream. */
const rows: readonly Row[] = [
  {
    said: 'manifest for 127.0.0.1:6001/library/alpine:9 not found: manifest unknown: manifest unknown',
    status: 404,
    code: 'SOURCE_NOT_FOUND',
    message: 'reg.test/team/app:1 does not exist on reg.test',
  },
  {
    said: 'name unknown',
    status: 500,
    code: 'SOURCE_NOT_FOUND',
    message: 'reg.test/team/app:1 does not exist on reg.test',
  },
  {
    said: "pull access denied for acme/nope, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    status: 404,
    code: 'SOURCE_DENIED',
    message: 'reg.test does not let us read reg.test/team/app:1: it is private, or does not exist',
  },
  {
    said: 'Head "http://127.0.0.1:6002/v2/acme/nope/manifests/9": no basic auth credentials',
    status: 500,
    code: 'SOURCE_DENIED',
    message: 'reg.test does not let us read reg.test/team/app:1: it is private, or does not exist',
  },
  {
    said: 'unauthorized: authentication required',
    status: 401,
    side: 'backup',
    code: 'BACKUP_DENIED',
    message:
      'the backup registry reg.test refuses the credentials of registry-auth for reg.test/team/app:1',
  },
  {
    said: 'no basic auth credentials',
    side: 'backup',
    code: 'BACKUP_DENIED',
    message:
      'the backup registry reg.test refuses the credentials of registry-auth for reg.test/team/app:1',
  },
  {
    said: 'toomanyrequests: You have reached your pull rate limit.',
    status: 429,
    code: 'SOURCE_RATE_LIMITED',
    message:
      'reg.test limits how often it may be asked and refused reg.test/team/app:1; try again later, or log in with SOURCE_AUTH_FILE',
  },
  {
    said: 'toomanyrequests: You have reached your pull rate limit.',
    status: 500,
    code: 'SOURCE_RATE_LIMITED',
    message:
      'reg.test limits how often it may be asked and refused reg.test/team/app:1; try again later, or log in with SOURCE_AUTH_FILE',
  },
  {
    said: "error parsing HTTP 429 response body: invalid character 'o' in literal true (expecting 'r'): \"toomanyrequests: slow down\"",
    status: 500,
    side: 'backup',
    code: 'BACKUP_RATE_LIMITED',
    message:
      'the backup registry reg.test limits how often it may be asked and refused reg.test/team/app:1; try again later',
  },
  {
    said: 'Get "http://127.0.0.1:6009/v2/": dial tcp 127.0.0.1:6009: connect: connection refused',
    status: 500,
    code: 'SOURCE_UNAVAILABLE',
    message: 'reg.test cannot be reached for reg.test/team/app:1: connection refused',
  },
  {
    said: 'Get "https://no.such.host/v2/": dial tcp: lookup no.such.host on 10.255.255.53:53: no such host',
    status: 500,
    code: 'SOURCE_UNAVAILABLE',
    message: 'reg.test cannot be reached for reg.test/team/app:1: its name does not resolve',
  },
  {
    said: 'Head "http://127.0.0.1:6003/v2/reset/a/manifests/1": EOF',
    status: 500,
    code: 'SOURCE_UNAVAILABLE',
    message: 'reg.test cannot be reached for reg.test/team/app:1: the connection was cut',
  },
  {
    said: 'received unexpected HTTP status: 503 Service Unavailable',
    status: 500,
    side: 'backup',
    code: 'BACKUP_UNAVAILABLE',
    message:
      'the backup registry reg.test cannot be reached for reg.test/team/app:1: it answered with an error',
  },
  {
    said: 'missing or empty Content-Length header',
    status: 500,
    code: 'SOURCE_UNSUPPORTED',
    message:
      'reg.test/team/app:1 cannot be copied by the docker daemon: missing or empty Content-Length header',
  },
  {
    said: 'write /var/lib/docker/tmp/GetImageBlob1: no space left on device',
    code: 'CLONER_UNAVAILABLE',
    message: 'the docker daemon has no space left for the copy',
  },
  {
    said: 'manifest invalid: quota of 5 GB exceeded',
    side: 'backup',
    code: 'BACKUP_REFUSED',
    message:
      'the backup registry reg.test did not serve reg.test/team/app:1: manifest invalid: quota of 5 GB exceeded',
  },
];

describe('toCloneError', () => {
  const image = { domain: 'reg.test', path: 'team/app', tag: '1' };

  for (const { said, status, side = 'source', code, message } of rows) {
    it(`reads ${status ?? 'in a stream'} "${said.slice(0, 60)}" as ${code}`, () => {
      // docker-modem hangs the status and the decoded body onto a plain Error.
      const error =
        status === undefined
          ? new Error(said)
          : Object.assign(new Error(`(HTTP code ${status}) unexpected - ${said} `), {
              statusCode: status,
              json: { message: said },
            });

      const translated = toCloneError(error, { side, image });

      assert.equal(translated.code, code);
      assert.equal(translated.message, message);
      assert.equal(translated.cause, error);
    });
  }

  for (const code of ['ECONNREFUSED', 'ENOENT', 'EACCES', 'ECONNRESET']) {
    it(`takes ${code} on the socket for a daemon that is gone`, () => {
      const error = Object.assign(new Error(`connect ${code} /var/run/docker.sock`), { code });

      assert.equal(toCloneError(error, { side: 'backup', image }).code, 'CLONER_UNAVAILABLE');
    });
  }
});
