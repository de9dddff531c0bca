import Docker from 'dockerode';
import { createDockerCloner } from '../../lib/adapters/docker/cloner.ts';
import { describeImageCloner } from '../contract/image-cloner.ts';
import { startDockerDaemon } from './support/docker-daemon.ts';
import { startRegistry } from './support/docker-registry.ts';
import { pushImage } from './support/images.ts';
import { findFreePort } from './support/port.ts';

const credentials = { username: 'acme', password: 'pa"ss\\wörd+/=' };

describeImageCloner('the docker adapter on a real dockerd', async () => {
  const user = { name: credentials.username, password: credentials.password };
  const [source, backup, daemon] = await Promise.all([
    startRegistry(),
    startRegistry({ users: [user] }),
    startDockerDaemon(),
  ]);
  return {
    cloner: createDockerCloner({
      docker: new Docker({ host: undefined, socketPath: daemon.socket }),
    }),
    source: source.host,
    backup: backup.host,
    credentials,
    deadHost: `127.0.0.1:${await findFreePort()}`,
    publish: (path, tag) => pushImage(source, `${path}:${tag}`),
    held: (path, tag) => backup.digest(path, tag),
    close: async () => {
      await Promise.all([source.stop(), backup.stop(), daemon.stop()]);
    },
  };
});
