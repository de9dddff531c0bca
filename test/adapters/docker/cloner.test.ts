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

  it('leaves no local image or tag behind', async () => {
    await copyWithTags(cloner, request, ['1']);

    assert.deepEqual([...daemon.local], []);
  });

  it('leaves none behind when the push fails', async () => {
    daemon.override(/\/push/, (_, response) => fail(response, [], 'denied: requested access'));

    await assert.rejects(copyWithTags(cloner, request, ['1']), { code: 'BACKUP_DENIED' });

    assert.deepEqual([...daemon.local], []);
  });

  it('keeps what it found: the pulled image and a tag with the name of the copy', async () => {
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

  it('takes away what a copy that was killed left behind: nobody but we gives that name', async () => {
    daemon.local.set('backup.test/acme/app:1.from.x', 'sha256:left-behind');

    await copyWithTags(cloner, request, ['1']);

    assert.deepEqual([...daemon.local], []);
  });

  it('gives what the backup holds already more tags there', async () => {
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

  it('pulls by the digest that was checked, even when the tag has moved', async () => {
    daemon.publish('public.test', 'team/app', 'pin', { content: 'team/app:1' });
    daemon.publish('public.test', 'team/app', '1', { content: 'moved' });

    const { digest } = await copyWithTags(cloner, request, ['1']);

    assert.equal(digest, daemon.registries.get('backup.test')?.tags.get('acme/app:1'));
    assert.ok(daemon.requests.some((line) => line.includes(`tag=${request.source.digest}`)));
  });

  it('sends the credentials of the side that is meant, odd characters included', async () => {
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

  it('says that an index is one', async () => {
    daemon.publish('public.test', 'team/multi', '1', { isIndex: true });

    const found = await cloner.resolve(
      { domain: 'public.test', path: 'team/multi', tag: '1' },
      { side: 'source' },
      signal,
    );

    assert.equal(found?.isIndex, true);
  });

  it('pulls again when the image was removed between pull and tag', async () => {
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

  const truncated = [
    [
      'a pull that ends without its last line',
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
    it(`does not take ${what} for a success`, async () => {
      daemon.override(match, (_, response) => lines(response, items));

      await assert.rejects(copyWithTags(cloner, request, ['1']), { code });
    });
  }

  it('does not take a connection that is cut in the middle of a push for a success', async () => {
    daemon.override(/push/, (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"status":"Preparing"}\n', () => response.destroy());
    });

    await assert.rejects(copyWithTags(cloner, request, ['1']), { name: 'CloneError' });
  });

  it('reports an error that comes in the middle of a 200', async () => {
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
        'public.test/team/app:1@' +
        `${request.source.digest} cannot be copied by the docker daemon: no matching manifest for linux/amd64 in the manifest list entries`,
    });
  });

  it('takes the digest from the line for people where there is no aux, as with the containerd store', async () => {
    const digest = `sha256:${'b'.repeat(64)}`;
    daemon.override(/push/, (_, response) =>
      lines(response, [{ status: `1: digest: ${digest} size: 526` }]),
    );

    assert.equal((await copyWithTags(cloner, request, ['1'])).digest, digest);
  });

  it('refuses to call it one copy when two tags got different digests', async () => {
    const digests = ['c', 'd'].map((letter) => `sha256:${letter.repeat(64)}`);
    daemon.override(/push/, (_, response) =>
      lines(response, [{ aux: { Digest: digests.shift() ?? '' } }]),
    );

    await assert.rejects(copyWithTags(cloner, request, ['1']), { code: 'BACKUP_REFUSED' });
  });

  it('ends a question that hangs, at the daemon too', async () => {
    const hangUp = Promise.withResolvers<undefined>();
    const asked = Promise.withResolvers<undefined>();
    daemon.override(/distribution/, (incoming) => {
      incoming.socket.once('close', () => hangUp.resolve(undefined));
      asked.resolve(undefined);
    });
    const controller = new AbortController();
    const reason = new Error('two seconds are over');

    const answer = cloner.resolve(request.source, { side: 'source' }, controller.signal);
    await asked.promise;
    controller.abort(reason);

    await assert.rejects(answer, reason);
    await hangUp.promise;
  });

  it('ends a pull that hangs with the reason of its signal', async () => {
    const controller = new AbortController();
    const reason = new Error('shutting down');
    daemon.override(/create/, (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"status":"Pulling from"}\n', () => controller.abort(reason));
    });

    await assert.rejects(cloner.copy(request, controller.signal, ignore), reason);
  });

  it('says that the daemon is gone', async () => {
    const docker = new Docker({ host: undefined, socketPath: '/nowhere/docker.sock' });
    const orphan = createDockerCloner({ docker });

    await assert.rejects(orphan.resolve(request.source, { side: 'source' }, signal), {
      code: 'CLONER_UNAVAILABLE',
      message: 'the docker daemon cannot be reached; is it running, and is DOCKER_HOST right?',
    });
    await assert.rejects(orphan.copy(request, signal, ignore), { code: 'CLONER_UNAVAILABLE' });
  });
});
