import { makeImage, seed } from '../../../lib/memory-registry/index.ts';
import { describeImageCloner } from '../../contract/image-cloner.ts';
import { openBench } from './bench.ts';

const credentials = { username: 'acme', password: 'pa"ss\\wörd+/=' };
const users = { [credentials.username]: credentials.password };

for (const scheme of ['basic', 'bearer'] as const) {
  describeImageCloner(`the registry adapter on memory registries with ${scheme}`, async () => {
    const bench = await openBench({ backup: { auth: { scheme, users } } });
    return {
      cloner: bench.cloner,
      source: bench.source.host,
      backup: bench.backup.host,
      credentials,
      deadHost: '127.0.0.1:1',
      publish: (path, tag) => {
        const image = makeImage({ seed: path });
        return Promise.resolve(seed(bench.source, `${path}:${tag}`, image).digest);
      },
      held: (path, tag) => Promise.resolve(bench.backup.store.manifest(path, tag)?.digest),
      close: () => bench.close(),
    };
  });
}
