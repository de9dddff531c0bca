import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getuid } from 'node:process';
import { after, afterEach, before, describe, it } from 'node:test';
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
  // Root ignores permissions.
  it('reports a configuration error when a parent directory of the docker socket denies access', {
    skip: getuid?.() === 0,
  }, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'daemon-'));
    await chmod(dir, 0o000);
    const { logger } = createMemoryLog();

    await assert.rejects(openDaemon({ dockerHost: `unix://${dir}/docker.sock`, logger }), {
      name: 'ConfigError',
      message: `DOCKER_HOST: permission denied for ${dir}/docker.sock; run as its owner or in its group`,
    });

    await rm(dir, { recursive: true });
  });
});
