import { openRegistryCloner } from '../../lib/adapters/registry/index.ts';
import { describeImageCloner } from '../contract/image-cloner.ts';
import { startRegistry } from './support/docker-registry.ts';
import { pushImage } from './support/images.ts';
import { findFreePort } from './support/port.ts';

const credentials = { username: 'acme', password: 'pa"ss\\wörd+/=' };

describeImageCloner('the registry adapter on real docker-registries', async () => {
  const user = { name: credentials.username, password: credentials.password };
  const [source, backup] = await Promise.all([startRegistry(), startRegistry({ users: [user] })]);
  return {
    cloner: openRegistryCloner({
      configuredHosts: [],
      insecureRegistries: [],
      trust: undefined,
      maxImageBytes: undefined,
      insideCluster: false,
      proxy: undefined,
      onResponse: () => undefined,
    }),
    source: source.host,
    backup: backup.host,
    credentials,
    deadHost: `127.0.0.1:${await findFreePort()}`,
    publish: (path, tag) => pushImage(source, `${path}:${tag}`),
    held: (path, tag) => backup.digest(path, tag),
    close: async () => {
      await Promise.all([source.stop(), backup.stop()]);
    },
  };
});
