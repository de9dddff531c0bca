import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import Docker from 'dockerode';
import { createDockerCloner } from '../../../lib/adapters/docker/cloner.ts';
import type { CopyRequest, ImageCloner } from '../../../lib/index.ts';
import { copyWithTags } from '../../support/copy-with-tags.ts';
import {
  downloading,
  type FakeDaemon,
  fail,
  json,
  lines,
  startFakeDaemon,
} from '../../support/fake-daemon.ts';

const { signal } = new AbortController();
const ignore = (): void => undefined;

describe('createDockerCloner', () => {
  let daemon: FakeDaemon;
  let cloner: ImageCloner;
  let request: CopyRequest;

  beforeEach(async () => {
    daemon = await startFakeDaemon();
    daemon.registries.set('public.test', { tags: new Map() });
    daemon.registries.set('backup.test', { tags: new Map() });
    const docker = new Docker({ host: undefined, socketPath: daemon.socketPath });
    cloner = createDockerCloner({ docker });
    request = {
      source: {
        domain: 'public.test',
        path: 'team/app',
        tag: '1',
        digest: daemon.publish('public.test', 'team/app', '1'),
      },
      sourceAccess: { side: 'source' },
      target: { domain: 'backup.test', path: 'acme/app' },
      targetAccess: { side: 'backup', credentials: { username: 'acme', password: 's"e\\c+/ré' } },
      firstTag: '1.from.x',
    };
  });
  afterEach(async () => {
    await daemon.close();
  });

  it('reports a pull and a push through the docker daemon from their first line', async () => {
    const seen: unknown[] = [];

    const copied = await cloner.copy(request, signal, ({ phase, doneBytes, totalBytes }) =>
      seen.push([phase, doneBytes, totalBytes]),
    );
    await copied.release();

    assert.deepEqual(seen, [
      ['pull', 0, 0],
      ['pull', 100_000, 300_000],
      ['pull', 300_000, 300_000],
      ['pull', 300_000, 300_000],
      ['push', 0, 300_000],
      ['push', 33_280, 300_000],
      ['push', 300_000, 300_000],
      ['push', 300_000, 300_000],
    ]);
  });

  it('reports the beginning of a push whose layers the registry has', async () => {
    const first = await cloner.copy(request, signal, ignore);
    await first.release();
    const phases: string[] = [];

    const second = await cloner.copy(request, signal, ({ phase }) => phases.push(phase));
    await second.release();

    assert.deepEqual(phases.slice(-1), ['push']);
  });

  it('removes the local image and its tags from the docker daemon after a copy', async () => {
    await copyWithTags(cloner, request, ['1']);

    assert.deepEqual([...daemon.local], []);
  });

  it('removes the local image and its tags from the docker daemon when the push fails', async () => {
    daemon.override(/\/push/, (_, response) => fail(response, [], 'denied: requested access'));

    await assert.rejects(copyWithTags(cloner, request, ['1']), { code: 'BACKUP_DENIED' });

    assert.deepEqual([...daemon.local], []);
  });

  it('keeps a local image and a local tag that existed before the copy', async () => {
    const found = [
      [`public.test/team/app@${request.source.digest}`, 'sha256:an-image-of-the-node'],
      ['backup.test/acme/app:1', 'sha256:another-image'],
    ] as const;
    for (const [name, id] of found) daemon.local.set(name, id);

    await copyWithTags(cloner, request, ['1']);

    assert.equal(daemon.local.get('backup.test/acme/app:1'), 'sha256:another-image');
    assert.ok(daemon.local.has(`public.test/team/app@${request.source.digest}`));
    assert.equal(daemon.local.get('backup.test/acme/app:1.from.x'), undefined);
  });

  it('removes the tag that a killed copy left in the local image store', async () => {
    daemon.local.set('backup.test/acme/app:1.from.x', 'sha256:left-behind');

    await copyWithTags(cloner, request, ['1']);

    assert.deepEqual([...daemon.local], []);
  });

  it('writes more tags for an image that the backup already holds, through the docker daemon', async () => {
    const { digest } = await copyWithTags(cloner, request, ['1']);
    const marked = await copyWithTags(
      cloner,
      {
        ...request,
        source: { ...request.target, digest },
        sourceAccess: request.targetAccess,
        firstTag: '1.from.y',
      },
      ['1.gen'],
    );

    const held = daemon.registries.get('backup.test')?.tags;
    assert.equal(marked.digest, digest);
    assert.equal(held?.get('acme/app:1.from.y'), digest);
    assert.equal(held.get('acme/app:1.gen'), digest);
    assert.deepEqual([...daemon.local], []);
  });

  it('pulls by the resolved digest when the tag has moved', async () => {
    daemon.publish('public.test', 'team/app', 'pin', { content: 'team/app:1' });
    daemon.publish('public.test', 'team/app', '1', { content: 'moved' });

    const { digest } = await copyWithTags(cloner, request, ['1']);

    assert.equal(digest, daemon.registries.get('backup.test')?.tags.get('acme/app:1'));
    assert.ok(daemon.requests.some((line) => line.includes(`tag=${request.source.digest}`)));
  });

  it('sends each registry its own credentials, special characters included', async () => {
    await copyWithTags(cloner, request, ['1']);

    const pushed = {
      username: 'acme',
      password: 's"e\\c+/ré',
      serveraddress: 'backup.test',
    };
    assert.deepEqual(daemon.auths.at(0), {
      username: '',
      password: '',
      serveraddress: 'public.test',
    });
    assert.deepEqual(daemon.auths.at(-1), pushed);
  });

  it('reports an index as an index when it resolves an image', async () => {
    daemon.publish('public.test', 'team/multi', '1', { isIndex: true });

    const found = await cloner.resolve(
      { domain: 'public.test', path: 'team/multi', tag: '1' },
      { side: 'source' },
      signal,
    );

    assert.equal(found?.isIndex, true);
  });

  it('pulls again when the local image is removed between pull and tag', async () => {
    let isFirst = true;
    daemon.override(/\/tag\?/, (incoming, response) => {
      if (isFirst) {
        isFirst = false;
        json(response, 404, { message: 'No such image' });
        return;
      }
      const [, id = ''] = /images\/([^/]+)\/tag/.exec(decodeURIComponent(incoming.url ?? '')) ?? [];
      daemon.local.set('backup.test/acme/app:1.from.x', id);
      daemon.local.set('backup.test/acme/app:1', id);
      response.writeHead(201).end();
    });

    const { digest } = await copyWithTags(cloner, request, ['1']);

    assert.equal(digest, daemon.registries.get('backup.test')?.tags.get('acme/app:1'));
  });

  it('pulls an image again that is removed between two pushes, and has its tags chosen again', async () => {
    const { digest } = await copyWithTags(cloner, request, []);
    const source = { ...request.target, digest };
    const copied = await cloner.copy({ ...request, source }, signal, ignore);
    const heldBy = (tag: string) =>
      daemon.registries.get('backup.test')?.tags.get(`acme/app:${tag}`);

    daemon.local.clear();
    await assert.rejects(copied.writeTags(['1.gen', '1'], signal), {
      code: 'CLONER_UNAVAILABLE',
      isTransient: true,
    });
    assert.equal(heldBy('1.gen'), undefined);
    await copied.writeTags(['1.gen', '1'], signal);

    await copied.release();
    assert.deepEqual([heldBy('1.gen'), heldBy('1')], [digest, digest]);
    assert.deepEqual([...daemon.local], []);
  });

  it('rejects a copy whose local image is removed twice', async () => {
    const copied = await cloner.copy(request, signal, ignore);

    for (const isTransient of [true, false]) {
      daemon.local.clear();
      const gone = { code: 'CLONER_UNAVAILABLE', isTransient };
      await assert.rejects(copied.writeTags(['1'], signal), gone);
    }

    await copied.release();
  });

  const truncated = [
    [
      'a pull that ends without its status line',
      /create/,
      [downloading('aaa', 5)],
      'SOURCE_UNAVAILABLE',
    ],
    [
      'a push that ends without its digest',
      /push/,
      [{ status: 'Pushing', progressDetail: { current: 1, total: 2 }, id: 'a' }],
      'BACKUP_UNAVAILABLE',
    ],
  ] as const;
  for (const [what, match, items, code] of truncated) {
    it(`rejects ${what}`, async () => {
      daemon.override(match, (_, response) => lines(response, items));

      await assert.rejects(copyWithTags(cloner, request, ['1']), { code });
    });
  }

  it('rejects a copy when the docker daemon closes the connection during a push', async () => {
    daemon.override(/push/, (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"status":"Preparing"}\n', () => response.destroy());
    });

    await assert.rejects(copyWithTags(cloner, request, ['1']), { name: 'CloneError' });
  });

  it('reports an error inside a 200 response of the daemon', async () => {
    daemon.override(/create/, (_, response) =>
      fail(
        response,
        [downloading('aaa', 5)],
        'no matching manifest for linux/amd64 in the manifest list entries',
      ),
    );

    await assert.rejects(copyWithTags(cloner, request, ['1']), {
      code: 'SOURCE_UNSUPPORTED',
      message:
        `the docker daemon cannot copy public.test/team/app:1@${request.source.digest}: no matching manifest for ` +
        'linux/amd64 in the manifest list entries; CLONER=registry supports more platforms and formats',
    });
  });

  it('reads the digest from the status line if the containerd image store sends no aux', async () => {
    const digest = `sha256:${'b'.repeat(64)}`;
    daemon.override(/push/, (_, response) =>
      lines(response, [{ status: `1: digest: ${digest} size: 526` }]),
    );

    assert.equal((await copyWithTags(cloner, request, ['1'])).digest, digest);
  });

  it('rejects a copy whose two tags have different digests', async () => {
    const digests = ['c', 'd'].map((letter) => `sha256:${letter.repeat(64)}`);
    daemon.override(/push/, (_, response) =>
      lines(response, [{ aux: { Digest: digests.shift() ?? '' } }]),
    );

    await assert.rejects(copyWithTags(cloner, request, ['1']), { code: 'BACKUP_REFUSED' });
  });

  it('aborts a resolve that hangs, and its request to the docker daemon', async () => {
    const hangUp = Promise.withResolvers<undefined>();
    const arrived = Promise.withResolvers<undefined>();
    daemon.override(/distribution/, (incoming) => {
      incoming.socket.once('close', () => hangUp.resolve(undefined));
      arrived.resolve(undefined);
    });
    const controller = new AbortController();
    const reason = new Error('two seconds are over');

    const answer = cloner.resolve(request.source, { side: 'source' }, controller.signal);
    await arrived.promise;
    controller.abort(reason);

    await assert.rejects(answer, reason);
    await hangUp.promise;
  });

  it('rejects with the abort reason when a pull hangs', async () => {
    const controller = new AbortController();
    const reason = new Error('shutting down');
    daemon.override(/create/, (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"status":"Pulling from"}\n', () => controller.abort(reason));
    });

    await assert.rejects(cloner.copy(request, controller.signal, ignore), reason);
  });

  it('reports a daemon that is down as CLONER_UNAVAILABLE', async () => {
    const docker = new Docker({ host: undefined, socketPath: '/nowhere/docker.sock' });
    const orphan = createDockerCloner({ docker });

    await assert.rejects(orphan.resolve(request.source, { side: 'source' }, signal), {
      code: 'CLONER_UNAVAILABLE',
      message:
        'the docker daemon cannot be reached (ENOENT): ' +
        'check that it runs and that DOCKER_HOST names its socket',
    });
    await assert.rejects(orphan.copy(request, signal, ignore), { code: 'CLONER_UNAVAILABLE' });
  });
});
