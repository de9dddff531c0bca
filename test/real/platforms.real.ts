import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as v from 'valibot';
import { parseReviewResponse } from '../../functions/demo/create-object.ts';
import { type Image, makeImage, makeIndex } from '../../lib/memory-registry/index.ts';
import { type Registry, startRegistry } from './support/docker-registry.ts';
import { push } from './support/images.ts';
import { runOrThrow } from './support/program.ts';
import { startWebhook, type Webhook } from './support/webhook.ts';

const platforms = ['linux/amd64', 'linux/arm64/v8', 'linux/arm/v7', 'linux/s390x'];

const indexSchema = v.object({
  manifests: v.array(
    v.object({
      digest: v.string(),
      platform: v.object({
        os: v.string(),
        architecture: v.string(),
        variant: v.optional(v.string()),
      }),
    }),
  ),
});

function make(seed: string, mediaTypes: 'oci' | 'docker' = 'oci'): readonly Image[] {
  return platforms.map((platform) => makeImage({ platform, seed, mediaTypes, layers: [20_000] }));
}

/** The webhook with PLATFORMS; crane checks the copies. */
for (const program of ['docker-registry', 'registry3'] as const) {
  describe(`the webhook with PLATFORMS and ${program}`, () => {
    let source: Registry;
    let backup: Registry;
    let webhook: Webhook;

    before(async () => {
      [source, backup] = await Promise.all([
        startRegistry({ program }),
        startRegistry({ program }),
      ]);
      webhook = await start('linux/amd64,linux/arm64');
    });
    after(async () => {
      await webhook.stop();
      await Promise.all([source.stop(), backup.stop()]);
    });

    function start(list: string): Promise<Webhook> {
      return startWebhook({
        env: {
          CLONER: 'registry',
          REGISTRY: backup.host,
          REGISTRY_AUTH: 'none',
          REGISTRY_NAMESPACE: 'copies',
          PLATFORMS: list,
        },
      });
    }

    async function review(name: string): Promise<ReturnType<typeof parseReviewResponse>> {
      const spec = { containers: [{ name: 'web', image: `${source.host}/${name}` }] };
      const kind = { group: '', version: 'v1', kind: 'Pod' };
      const request = { uid: 'u', kind, operation: 'CREATE', object: { metadata: {}, spec } };
      const body = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };
      return parseReviewResponse((await webhook.review(body, '30s')).body);
    }

    /** The image that the review writes. */
    async function apply(name: string): Promise<string> {
      const { allowed, status, patch } = await review(name);
      assert.equal(allowed, true, status?.message ?? '');
      const written = patch.find(({ op }) => op === 'replace')?.value;
      assert(typeof written === 'string');
      return written;
    }

    async function platformsOf(image: string): Promise<readonly string[]> {
      const index: unknown = JSON.parse(
        await runOrThrow('crane', ['manifest', '--insecure', image]),
      );
      return v
        .parse(indexSchema, index)
        .manifests.map(({ platform: { os, architecture, variant } }) =>
          [os, architecture, ...(variant === undefined ? [] : [variant])].join('/'),
        );
    }

    async function validate(image: string): Promise<void> {
      await runOrThrow('crane', ['validate', '--insecure', '--remote', image]);
    }

    for (const format of ['oci', 'docker'] as const) {
      it(`copies the listed platforms of an index in the ${format} format`, async () => {
        const name = `shape/${format}`;
        await push(source, name, makeIndex(make(name, format), { mediaTypes: format }), '1');

        const image = await apply(`${name}:1`);

        assert.deepEqual(await platformsOf(image), ['linux/amd64', 'linux/arm64/v8']);
        await validate(image);
      });
    }

    it('copies the attestations of the listed platforms', async () => {
      const index = makeIndex(make('attested'), { attestations: true });
      await push(source, 'attested/app', index, '1');

      const image = await apply('attested/app:1');

      const unknown = 'unknown/unknown';
      const expected = ['linux/amd64', 'linux/arm64/v8', unknown, unknown];
      assert.deepEqual(await platformsOf(image), expected);
      const [, path] = /^[^/]+\/(.*):1$/.exec(image) ?? [];
      for (const { digest } of index.children.slice(4, 6)) {
        assert.equal(await backup.digest(path ?? '', digest), digest);
      }
      assert.equal(await backup.digest(path ?? '', index.children[6]?.digest ?? ''), undefined);
    });

    it('copies the listed platforms of nested indexes', async () => {
      const [amd64, ...others] = make('nested').map((image) => makeIndex([image]));
      assert(amd64 !== undefined);
      await push(source, 'nested/app', makeIndex([amd64, makeIndex(others)]), '1');

      await validate(await apply('nested/app:1'));
    });

    it('refuses an image without a listed platform, and names those that it has', async () => {
      await push(source, 'none/app', makeIndex(make('none').slice(2)), '1');

      const { allowed, status } = await review('none/app:1');

      assert.equal(allowed, false);
      assert.match(
        status?.message ?? '',
        /cannot be copied: it has linux\/arm\/v7, linux\/s390x and none of PLATFORMS \(linux\/amd64, linux\/arm64\)$/,
      );
    });

    it('sends at most four requests for an unchanged image, copies a wider list, and falls back to that', async () => {
      await push(source, 'wide/app', makeIndex(make('wide')), '1');
      const image = await apply('wide/app:1');
      await Promise.all([source.forgetRequests(), backup.forgetRequests()]);
      assert.equal(await apply('wide/app:1'), image);
      const requests = [...(await source.requests()), ...(await backup.requests())];
      assert.ok(requests.length <= 4, JSON.stringify(requests, undefined, 1));
      assert.ok(requests.every(({ method }) => method === 'HEAD'));

      await webhook.stop();
      webhook = await start('linux/amd64,linux/arm64,linux/arm');
      assert.equal(await apply('wide/app:1'), image);
      const wider = ['linux/amd64', 'linux/arm64/v8', 'linux/arm/v7'];
      assert.deepEqual(await platformsOf(image), wider);
      await validate(image);

      await source.stop();
      assert.equal(await apply('wide/app:1'), image);
      await source.start();
    });
  });
}
