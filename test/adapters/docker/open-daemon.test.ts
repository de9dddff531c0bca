import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getuid } from 'node:process';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { promisify } from 'node:util';
import nock from 'nock';
import { createDockerCloner } from '../../../lib/adapters/docker/cloner.ts';
import { openDaemon } from '../../../lib/adapters/docker/open-daemon.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

const { signal } = new AbortController();
const image = { domain: 'reg.test', path: 'team/app', tag: '1' };
const digest = `sha256:${'a'.repeat(64)}`;

describe('openDaemon with DOCKER_HOST=tcp://…', () => {
  const { logger } = createMemoryLog();
  before(() => {
    nock.disableNetConnect();
  });
  afterEach(() => {
    assert.deepEqual(nock.pendingMocks(), []);
    nock.cleanAll();
  });
  after(() => {
    nock.restore();
  });

  const hosts = [
    ['tcp://docker.test:2375', 'http://docker.test:2375'],
    ['tcp://docker.test', 'http://docker.test:2375'],
    ['https://docker.test', 'https://docker.test:2376'],
  ] as const;
  for (const [dockerHost, origin] of hosts) {
    it(`sends requests to ${origin} for DOCKER_HOST=${dockerHost}`, async () => {
      const auth = { username: 'acme', password: 'é+/', serveraddress: 'reg.test' };
      const header = Buffer.from(JSON.stringify(auth)).toString('base64').replaceAll('+', '-');
      nock(origin, { reqheaders: { 'x-registry-auth': header.replaceAll('/', '_') } })
        .get('/distribution/reg.test/team/app:1/json')
        .reply(200, { Descriptor: { mediaType: 'x', digest } });
      const docker = await openDaemon({ dockerHost, logger });
      const credentials = { username: 'acme', password: 'é+/' };

      const resolved = await createDockerCloner({ docker }).resolve(
        image,
        { side: 'source', credentials },
        signal,
      );

      assert.deepEqual(resolved, { digest, isIndex: false });
    });
  }

  it('passes an identity token to the docker daemon as one, not as a password', async () => {
    const auth = { identitytoken: 'idt', serveraddress: 'reg.test' };
    const header = Buffer.from(JSON.stringify(auth)).toString('base64');
    nock('http://docker.test:2375', { reqheaders: { 'x-registry-auth': header } })
      .get('/distribution/reg.test/team/app:1/json')
      .reply(200, { Descriptor: { mediaType: 'x', digest } });
    const docker = await openDaemon({ dockerHost: 'tcp://docker.test:2375', logger });
    const credentials = { username: '<token>', password: 'idt', isIdentityToken: true } as const;

    const access = { side: 'source', credentials } as const;
    const resolved = await createDockerCloner({ docker }).resolve(image, access, signal);

    assert.deepEqual(resolved, { digest, isIndex: false });
  });

  it('rejects a distribution response of the docker daemon without a valid digest', async () => {
    nock('http://docker.test:2375')
      .get('/distribution/reg.test/team/app:1/json')
      .reply(200, { Descriptor: { digest: 'sha256:../../evil' } });
    const docker = await openDaemon({ dockerHost: 'tcp://docker.test', logger });

    await assert.rejects(
      createDockerCloner({ docker }).resolve(image, { side: 'source' }, signal),
      {
        name: 'CloneError',
        code: 'SOURCE_REFUSED',
      },
    );
  });
});

describe('openDaemon with DOCKER_HOST=unix://…', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'daemon-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  /** A server that sends `answer` to each request, and closes the connection. */
  async function serve(answer: string): Promise<AsyncDisposable & { readonly path: string }> {
    const path = join(dir, 'docker.sock');
    const server = createServer((socket: Socket) => {
      socket.once('data', () => socket.end(answer));
    });
    await once(server.listen(path), 'listening');
    return { path, [Symbol.asyncDispose]: () => promisify(server.close.bind(server))() };
  }

  const others = [
    ['a web server', 'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n'],
    ['containerd, which uses HTTP/2', '\0\0\x06\x04\0\0\0\0\0\0\x05\0\0@\0'],
  ] as const;
  for (const [what, answer] of others) {
    it(`reports a configuration error for the socket of ${what}`, async () => {
      await using server = await serve(answer);
      const { logger } = createMemoryLog();

      await assert.rejects(openDaemon({ dockerHost: `unix://${server.path}`, logger }), {
        name: 'ConfigError',
        message: `DOCKER_HOST: the server at ${server.path} is not a docker daemon; set it to the socket of one`,
      });
    });
  }

  const answers = [
    ['answers', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK', []],
    ['answers 500', 'HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n', ['HTTP 500']],
    ['closes the connection', '', ['ECONNRESET']],
  ] as const;
  for (const [what, answer, codes] of answers) {
    it(`logs ${codes[0] ?? 'nothing'} if the docker daemon ${what} at start-up`, async () => {
      await using server = await serve(answer);
      const { logger, lines } = createMemoryLog();

      await openDaemon({ dockerHost: `unix://${server.path}`, logger });

      assert.deepEqual(
        lines,
        codes.map((code) => ({
          level: 'warn',
          message: 'the docker daemon does not answer yet',
          fields: { socket: server.path, code },
        })),
      );
    });
  }

  // Root ignores permissions.
  it('reports a configuration error when a parent directory of the docker socket denies access', {
    skip: getuid?.() === 0,
  }, async () => {
    await chmod(dir, 0o000);
    const { logger } = createMemoryLog();

    await assert.rejects(openDaemon({ dockerHost: `unix://${dir}/docker.sock`, logger }), {
      name: 'ConfigError',
      message: `DOCKER_HOST: permission denied for ${dir}/docker.sock; run as its owner or in its group`,
    });
  });
});
