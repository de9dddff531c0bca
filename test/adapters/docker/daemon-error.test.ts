import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toCloneError } from '../../../lib/adapters/docker/daemon-error.ts';
import type { CloneErrorCode, Side } from '../../../lib/index.ts';

interface Row {
  readonly text: string;
  readonly status?: number;
  readonly side?: Side;
  readonly code: CloneErrorCode;
  readonly message: string;
}

/** Texts recorded from dockerd 20.10.24; without a `status` the text came in a stream. */
const rows: readonly Row[] = [
  {
    text: 'manifest for 127.0.0.1:6001/library/alpine:9 not found: manifest unknown: manifest unknown',
    status: 404,
    code: 'SOURCE_NOT_FOUND',
    message: 'reg.test/team/app:1 does not exist on reg.test; check its name and tag',
  },
  {
    text: 'name unknown',
    status: 500,
    code: 'SOURCE_NOT_FOUND',
    message: 'reg.test/team/app:1 does not exist on reg.test; check its name and tag',
  },
  {
    text: "pull access denied for acme/nope, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    status: 404,
    code: 'SOURCE_DENIED',
    message:
      'reg.test denied access to reg.test/team/app:1: the image is private or does not exist; check its name, or add credentials to SOURCE_AUTH_FILE',
  },
  {
    text: 'Head "http://127.0.0.1:6002/v2/acme/nope/manifests/9": no basic auth credentials',
    status: 500,
    code: 'SOURCE_DENIED',
    message:
      'reg.test denied access to reg.test/team/app:1: the image is private or does not exist; check its name, or add credentials to SOURCE_AUTH_FILE',
  },
  {
    text: 'unauthorized: authentication required',
    status: 401,
    side: 'backup',
    code: 'BACKUP_DENIED',
    message:
      'the backup registry reg.test rejected the credentials in registry-auth for reg.test/team/app:1; update the Secret, or the permissions of its user',
  },
  {
    text: 'no basic auth credentials',
    side: 'backup',
    code: 'BACKUP_DENIED',
    message:
      'the backup registry reg.test rejected the credentials in registry-auth for reg.test/team/app:1; update the Secret, or the permissions of its user',
  },
  {
    text: 'toomanyrequests: You have reached your pull rate limit.',
    status: 429,
    code: 'SOURCE_RATE_LIMITED',
    message:
      'reg.test rejected the request for reg.test/team/app:1: rate limit; try again later, or authenticate (SOURCE_AUTH_FILE) to get a separate limit',
  },
  {
    text: 'toomanyrequests: You have reached your pull rate limit.',
    status: 500,
    code: 'SOURCE_RATE_LIMITED',
    message:
      'reg.test rejected the request for reg.test/team/app:1: rate limit; try again later, or authenticate (SOURCE_AUTH_FILE) to get a separate limit',
  },
  {
    text: "error parsing HTTP 429 response body: invalid character 'o' in literal true (expecting 'r'): \"toomanyrequests: slow down\"",
    status: 500,
    side: 'backup',
    code: 'BACKUP_RATE_LIMITED',
    message:
      'the backup registry reg.test rejected the request for reg.test/team/app:1: rate limit; try again later',
  },
  {
    text: 'Get "http://127.0.0.1:6009/v2/": dial tcp 127.0.0.1:6009: connect: connection refused',
    status: 500,
    code: 'SOURCE_UNAVAILABLE',
    message: 'reg.test cannot be reached for reg.test/team/app:1: connection refused',
  },
  {
    text: 'Get "https://no.such.host/v2/": dial tcp: lookup no.such.host on 10.255.255.53:53: no such host',
    status: 500,
    code: 'SOURCE_UNAVAILABLE',
    message:
      "reg.test cannot be reached for reg.test/team/app:1: its name does not resolve; check the node's DNS",
  },
  {
    text: 'Get "https://reg.test/v2/": http: server gave HTTP response to HTTPS client',
    status: 500,
    code: 'SOURCE_UNAVAILABLE',
    message:
      'reg.test cannot be reached for reg.test/team/app:1: it uses plain HTTP; add it to insecure-registries of the docker daemon',
  },
  {
    text: 'Head "http://127.0.0.1:6003/v2/reset/a/manifests/1": EOF',
    status: 500,
    code: 'SOURCE_UNAVAILABLE',
    message: 'reg.test cannot be reached for reg.test/team/app:1: the connection was closed early',
  },
  {
    text: 'received unexpected HTTP status: 503 Service Unavailable',
    status: 500,
    side: 'backup',
    code: 'BACKUP_UNAVAILABLE',
    message:
      'the backup registry reg.test cannot be reached for reg.test/team/app:1: it answered with an error',
  },
  {
    text: 'missing or empty Content-Length header',
    status: 500,
    code: 'SOURCE_UNSUPPORTED',
    message:
      'the docker daemon cannot copy reg.test/team/app:1: missing or empty Content-Length header; CLONER=registry supports more platforms and formats',
  },
  {
    text: 'write /var/lib/docker/tmp/GetImageBlob1: no space left on device',
    code: 'CLONER_UNAVAILABLE',
    message:
      'the docker daemon has no space left to copy reg.test/team/app:1: free disk space on its node',
  },
  {
    text: 'manifest invalid: quota of 5 GB exceeded',
    side: 'backup',
    code: 'BACKUP_REFUSED',
    message:
      'the backup registry reg.test did not accept reg.test/team/app:1: manifest invalid: quota of 5 GB exceeded',
  },
];

describe('toCloneError', () => {
  const image = { domain: 'reg.test', path: 'team/app', tag: '1' };

  for (const { text, status, side = 'source', code, message } of rows) {
    it(`translates "${text.slice(0, 60)}" of the daemon (${status ?? 'in a stream'}) to ${code}`, () => {
      // docker-modem adds the status and the decoded body to a plain Error.
      const error =
        status === undefined
          ? new Error(text)
          : Object.assign(new Error(`(HTTP code ${status}) unexpected - ${text} `), {
              statusCode: status,
              json: { message: text },
            });

      const translated = toCloneError(error, { side, image });

      assert.equal(translated.code, code);
      assert.equal(translated.message, message);
      assert.equal(translated.cause, error);
    });
  }

  for (const code of ['ECONNREFUSED', 'ENOENT', 'EACCES', 'ECONNRESET']) {
    it(`reports ${code} of the docker socket as CLONER_UNAVAILABLE, with the image`, () => {
      const error = Object.assign(new Error(`connect ${code} /var/run/docker.sock`), { code });

      const translated = toCloneError(error, { side: 'backup', image });

      assert.equal(translated.code, 'CLONER_UNAVAILABLE');
      assert.equal(
        translated.message,
        `the docker daemon cannot be reached (${code}): check that it runs and that DOCKER_HOST names its socket`,
      );
    });
  }
});
