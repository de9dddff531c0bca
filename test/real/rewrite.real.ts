import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as v from 'valibot';
import { pushImage } from './support/images.ts';
import { type InstalledWebhook, startInstalledWebhook } from './support/installed-webhook.ts';
import { createTempDir } from './support/janitor.ts';
import { type ProgramResult, runProgram } from './support/program.ts';

const pullSecret = 'regcred';
const objectSchema = v.object({
  metadata: v.object({
    resourceVersion: v.string(),
    annotations: v.optional(v.record(v.string(), v.string()), {}),
  }),
  spec: v.object({
    template: v.object({
      spec: v.object({
        containers: v.array(v.object({ image: v.string() })),
        imagePullSecrets: v.array(v.object({ name: v.string() })),
      }),
    }),
  }),
});

/** Manifests that are rewritten before they reach the cluster, against the webhook that would rewrite them. */
describe('image-cloner rewrite', () => {
  let installed: InstalledWebhook;
  let stream: string;

  before(async () => {
    installed = await startInstalledWebhook({
      namespaces: ['shop'],
      env: { BACKUP_PULL_SECRET: pullSecret },
    });
    for (const name of ['web', 'proxy', 'db']) await pushImage(installed.source, `team/${name}:1`);
    stream = toStream(installed.source.host);
  });
  after(async () => {
    await installed.stop();
  });

  async function rewrite(args: readonly string[], stdin = ''): Promise<ProgramResult> {
    return await runProgram('node', ['--import', 'tsx', 'functions/rewrite/main.ts', ...args], {
      env: installed.env,
      stdin,
    });
  }

  async function read(object: string): Promise<v.InferOutput<typeof objectSchema>> {
    const args = ['get', object, '--namespace=shop', '--output=json'];
    return v.parse(objectSchema, JSON.parse(await installed.apiServer.mustKubectl(args)));
  }

  /** Verdicts of the reviews of one object since the start. */
  function verdicts(object: string): readonly unknown[] {
    return installed.webhook
      .log()
      .filter(({ msg, object: of }) => msg === 'review answered' && of === object)
      .map(({ verdict }) => verdict);
  }

  it('rewrite --check names the images that the backup lacks, and copies nothing', async () => {
    const { code, stdout, stderr } = await rewrite(['--check'], stream);

    assert.equal(code, 1, stderr);
    const { host } = installed.source;
    assert.equal(stdout, `${host}/team/db:1\n${host}/team/proxy:1\n${host}/team/web:1\n`);
    assert.match(stderr, /^3 images: the backup lacks 3: image-cloner clone IMAGE$/m);
    assert.deepEqual(await installed.backup.tags('backups'), []);
  });

  it('rewrite --no-copy refuses images that the backup lacks, and prints nothing', async () => {
    const { code, stdout, stderr } = await rewrite(['--no-copy', '--namespace=shop'], stream);

    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(
      stderr,
      /^standard input:4: deployment\/web: container "web": the backup does not have \S+\/team\/web:1 as it is now, and nothing is copied: image-cloner clone \S+\/team\/web:1; container "proxy": the backup does not have/m,
    );
    assert.match(stderr, /^nothing was written$/m);
  });

  it('objects that were rewritten are stored as they are, and the webhook patches nothing', async () => {
    const { code, stdout, stderr } = await rewrite(['--namespace=shop'], stream);
    assert.equal(code, 0, stderr);

    const applied = await installed.apiServer.mustKubectl(
      ['apply', '--namespace=shop', '--filename=-'],
      stdout,
    );

    assert.match(applied, /^deployment\.apps\/web created$/m);
    assert.deepEqual(
      verdicts('shop/web').filter((verdict) => verdict === 'patched'),
      [],
    );
    assert.deepEqual(
      verdicts('shop/db').filter((verdict) => verdict === 'patched'),
      [],
    );
    const web = await read('deployment/web');
    for (const { image } of web.spec.template.spec.containers) {
      assert.ok(image.startsWith(`${installed.backup.host}/backups/`), image);
    }
    assert.deepEqual(web.spec.template.spec.imagePullSecrets, [{ name: pullSecret }]);
    const { host } = installed.source;
    assert.equal(
      web.metadata.annotations['image-cloner/original-images'],
      `{"containers/proxy":"${host}/team/proxy:1","containers/web":"${host}/team/web:1"}`,
    );
    const again = await installed.apiServer.mustKubectl(
      ['apply', '--namespace=shop', '--filename=-'],
      stdout,
    );
    assert.match(again, /^deployment\.apps\/web unchanged$/m);
    assert.equal(
      (await read('deployment/web')).metadata.resourceVersion,
      web.metadata.resourceVersion,
    );
  });

  it('the original manifest, applied after it, is the same object: the webhook stores what rewrite wrote', async () => {
    const before = await read('deployment/web');

    await installed.apiServer.mustKubectl(
      ['apply', '--server-side', '--force-conflicts', '--namespace=shop', '--filename=-'],
      stream,
    );

    const after = await read('deployment/web');
    assert.deepEqual(after.spec, before.spec);
    assert.equal(
      after.metadata.annotations['image-cloner/original-images'],
      before.metadata.annotations['image-cloner/original-images'],
    );
  });

  it('rewrite --in-place writes files with their comments, and a second run changes nothing', async () => {
    const file = join(createTempDir('manifests'), 'all.yaml');
    await writeFile(file, stream);

    const first = await rewrite(['--in-place', '--namespace=shop', file]);
    const text = await readFile(file, 'utf8');
    const second = await rewrite(['--in-place', '--namespace=shop', file]);
    const check = await rewrite(['--check', file]);

    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stderr, /all\.yaml: rewritten$/m);
    assert.equal(await readFile(file, 'utf8'), text);
    assert.doesNotMatch(second.stderr, /rewritten/);
    assert.equal(check.code, 0, check.stderr);
    const removed = text
      .replaceAll(/^ *image-cloner\/original-images: .*\n/gm, '')
      .replaceAll(/^ *annotations:\n(?! {4})/gm, '')
      .replaceAll(/^ *imagePullSecrets:\n *- name: regcred\n/gm, '')
      .replaceAll(
        /[^\s"']+\/backups\/[^\s"']+__team__(\w+)-[0-9a-f]{12}:1/g,
        (_, name) => `${installed.source.host}/team/${String(name)}:1`,
      );
    assert.equal(removed, stream);
  });
});

/** As `helm template` prints: documents with comments, a document that is empty, objects of other kinds. */
function toStream(host: string): string {
  return `---
# Source: web/templates/deployment.yaml

apiVersion: apps/v1
kind: Deployment
metadata:
  # the name of the release
  name: web
  labels: {app: web}
spec:
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        - name: web
          image: "${host}/team/web:1" # quoted
        - image: ${host}/team/proxy:1
          name: proxy
---
# Source: web/templates/empty.yaml
---
# Source: web/templates/db.yaml
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
  annotations:
    # kept
    owner: team-db
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - name: db
        image: '${host}/team/db:1'
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  image: ${host}/team/none:1
`;
}
