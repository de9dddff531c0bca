import Docker from 'dockerode';
import { createDockerCloner } from '../../../lib/adapters/docker/cloner.ts';
import { describeImageCloner } from '../../contract/image-cloner.ts';
import { startFakeDaemon } from '../../support/fake-daemon.ts';

const credentials = { username: 'acme', password: 'pa"ss\\wörd+/=' };

describeImageCloner('the docker adapter on a fake daemon', async () => {
  const daemon = await startFakeDaemon();
  daemon.registries.set('public.test', { tags: new Map() });
  daemon.registries.set('backup.test', { tags: new Map(), user: credentials });
  const docker = new Docker({ host: undefined, socketPath: daemon.socketPath });
  return {
    cloner: createDockerCloner({ docker }),
    source: 'public.test',
    backup: 'backup.test',
    credentials,
    deadHost: 'dead.test',
    publish: (path, tag) => Promise.resolve(daemon.publish('public.test', path, tag)),
    held: (path, tag) =>
      Promise.resolve(daemon.registries.get('backup.test')?.tags.get(`${path}:${tag}`)),
    close: () => daemon.close(),
  };
});
