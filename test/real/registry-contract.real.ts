import { openRegistryCloner } from '../../lib/adapters/registry/index.ts';
import { describeImageCloner } from '../contract/image-cloner.ts';
import { manifestTypes } from './support/docker-registry.ts';
import { pushImage } from './support/images.ts';
import { findFreePort } from './support/port.ts';
import { registryKinds } from './support/registries.ts';

const credentials = { username: 'acme', password: 'pa"ss\\wörd+/=' };
const user = { name: credentials.username, password: credentials.password };

for (const { name, isOpen = false, start } of registryKinds) {
  describeImageCloner(
    `the registry adapter on ${name}`,
    async () => {
      const [source, backup] = await Promise.all([start(), start(user)]);
      return {
        cloner: openRegistryCloner({
          configuredHosts: [],
          insecureRegistries: [],
          trust: undefined,
          insideCluster: false,
          proxy: undefined,
        }),
        source: source.host,
        backup: backup.host,
        credentials,
        deadHost: `127.0.0.1:${await findFreePort()}`,
        publish: (path, tag) => pushImage(source, `${path}:${tag}`),
        held: async (path, tag) => {
          const { headers } = await backup.request(`${path}/manifests/${tag}`, {
            method: 'HEAD',
            headers: { accept: manifestTypes },
          });
          return headers.get('docker-content-digest') ?? undefined;
        },
        close: async () => {
          await Promise.all([source.stop(), backup.stop()]);
        },
      };
    },
    { isOpen },
  );
}
