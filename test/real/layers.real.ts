import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createRegistryCloner } from '../../lib/adapters/registry/cloner.ts';
import {
  createFindEndpoint,
  createHttp,
  type Http,
} from '../../lib/adapters/registry/http/index.ts';
import type { ImageCloner } from '../../lib/index.ts';
import { type Image, makeImage } from '../../lib/memory-registry/index.ts';
import { createSteppingClock } from '../support/stepping-clock.ts';
import { push } from './support/images.ts';
import { runOrThrow } from './support/program.ts';
import { type AnyRegistry, registryKinds } from './support/registries.ts';

const { signal } = new AbortController();
const mebibyte = 1024 * 1024;
const [base] = makeImage({ layers: [500_000], seed: 'base' }).blobs.toSorted(
  (one, two) => two.size - one.size,
);
const large = makeImage({ layers: [13 * mebibyte], seed: 'large' });

interface Answer {
  readonly method: string;
  readonly path: string;
  readonly status: number;
}

/** How real registries take layers from each other, and in parts. */
describe('layers of real registries', () => {
  for (const { name, refusesMounts = false, start } of registryKinds) {
    describe(name, () => {
      let registry: AnyRegistry;
      let other: AnyRegistry;
      let http: Http;
      let answers: Answer[];
      before(async () => {
        [registry, other] = await Promise.all([start(), start()]);
        const insecureRegistries = [registry.host, other.host];
        http = createHttp({ configuredHosts: insecureRegistries, insideCluster: false });
        answers = [];
      });
      after(async () => {
        await http.close();
        await Promise.all([registry.stop(), other.stop()]);
      });

      /** @param now a clock that may make every layer slow */
      function open(now?: () => number): ImageCloner {
        const insecureRegistries = [registry.host, other.host];
        return createRegistryCloner({
          http,
          findEndpoint: createFindEndpoint({ http, insecureRegistries, insideCluster: false }),
          sleep: () => Promise.resolve(),
          onResponse: ({ method, url, status }) =>
            answers.push({ method, path: url.pathname, status }),
          ...(now !== undefined && { now }),
        });
      }

      async function copy(cloner: ImageCloner, path: string, image: Image): Promise<number> {
        await push(other, path, image, '1');
        const source = { domain: other.host, path, tag: '1', digest: image.digest };
        const copied = await cloner.copy(
          {
            source,
            sourceAccess: { side: 'source' },
            target: { domain: registry.host, path: `copies/${path}` },
            targetAccess: { side: 'backup' },
            firstTag: '1',
            mayShareLayers: true,
          },
          signal,
          () => undefined,
        );
        await copied.release();
        const copyName = `${registry.host}/copies/${path}:1`;
        await runOrThrow('crane', ['validate', '--insecure', '--remote', copyName]);
        return copied.bytes;
      }

      const verb = refusesMounts ? 'uploads' : 'mounts';
      it(`${verb} a layer that another copy has brought into ${name}`, async () => {
        assert.ok(base);
        const cloner = open();
        const layers = [base.bytes, 100];

        const first = await copy(cloner, 'team/one', makeImage({ layers, seed: 'one' }));
        const second = await copy(cloner, 'team/two', makeImage({ layers, seed: 'two' }));

        assert.ok(first > base.size, `${first} bytes`);
        assert.equal(second > base.size, refusesMounts, `${second} bytes`);
      });

      it(`reads a large layer of ${name} in parts`, async () => {
        answers = [];

        await copy(open(createSteppingClock(10)), 'team/large', large);

        const parts = answers.filter(({ status }) => status === 206);
        assert.ok(parts.length >= 4, `${parts.length} parts`);
      });
    });
  }
});
