import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as v from 'valibot';
import { type DockerDaemon, startDockerDaemon } from './support/docker-daemon.ts';
import { runOrThrow } from './support/program.ts';

const imageSchema = v.tuple([
  v.object({
    RootFS: v.object({ Layers: v.array(v.string()) }),
    Config: v.object({
      User: v.string(),
      StopSignal: v.string(),
      Labels: v.record(v.string(), v.string()),
    }),
  }),
]);
type Image = v.InferOutput<typeof imageSchema>[0];

describe('the container image', () => {
  let daemon: DockerDaemon;

  before(async () => {
    daemon = await startDockerDaemon();
  });
  after(async () => {
    await daemon.stop();
  });

  /** Builds from scratch, because no base image is available; the project adds one layer. */
  async function build(tag: string): Promise<Image> {
    await runOrThrow('just', ['build'], {
      env: {
        DOCKER_HOST: daemon.dockerHost,
        BASE: 'scratch',
        IMAGE: tag,
        SOURCE_DATE_EPOCH: '1700000000',
        REVISION: 'abc123',
      },
    });
    const { stdout } = await daemon.cli(['image', 'inspect', tag]);
    return v.parse(imageSchema, JSON.parse(stdout))[0];
  }

  it('the image build makes a reproducible layer and sets the labels', async () => {
    const one = await build('one:1');
    // No cache of the first build.
    await daemon.cli(['image', 'rm', '--force', 'one:1']);

    const two = await build('two:1');

    assert.equal(one.RootFS.Layers.length, 1);
    assert.deepEqual(two.RootFS.Layers, one.RootFS.Layers);
    const { Labels, User, StopSignal } = two.Config;
    assert.equal(Labels['org.opencontainers.image.revision'], 'abc123');
    assert.match(Labels['org.opencontainers.image.version'] ?? '', /^\d+\.\d+\.\d+$/);
    assert.equal(User, '65532:65532');
    assert.equal(StopSignal, 'SIGTERM');
  });
});
