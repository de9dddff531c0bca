import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { makeImage, makeIndex, seed } from '../../lib/memory-registry/index.ts';
import { type Created, createCluster, toReview } from './cluster.ts';
import { openStage, type Stage } from './environment.ts';
import { createNarrator } from './printer.ts';

const layerBytes = 4 * 1024 * 1024;
const image = 'library/nginx:1.27';

const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
const narrator = createNarrator({
  write: (text) => process.stdout.write(text),
  isColoured: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
});
const { title, say, command, output, good, warning } = narrator;

say(
  'image-cloner, the whole story: two registries in memory, and the real webhook over HTTPS between them.',
);
const stage = await openStage({ onLog: showProgress });
try {
  await tell(stage);
  if (values.keep) await keep(stage);
} finally {
  await stage.close();
}

async function tell({ source, backup, url, ca }: Stage): Promise<void> {
  const cluster = createCluster({ url, ca });
  const name = `${source.served.host}/${image}`;
  publish(stage, 'first');
  say(`  public registry  ${source.served.host}, it has ${image} for two platforms`);
  say(`  your registry    ${backup.served.host}, empty; copies go to its namespace "backups"`);
  say(`  webhook          ${url}`);

  title('1. A Deployment is applied');
  const manifest = deployment(name);
  command('kubectl apply -f web.yaml');
  output(toYaml(manifest));
  say(
    '  The copy takes longer than the API server waits, so kubectl is told to come back, and does:',
  );
  const first = await create();
  showPatch(first);
  say('  What is stored:');
  output(toYaml(first.stored));
  good(`the backup holds ${tags()}, both platforms, the same digest`);

  title('2. The same image again');
  const before = backup.registry.requests.bytesIn();
  command('kubectl apply -f web-2.yaml');
  const second = await create();
  good(`stored pointing at ${imageOf(second)}: ${moved(before)} bytes moved`);

  title('3. The tag moves upstream');
  publish(stage, 'second');
  command('kubectl apply -f web-3.yaml');
  await create();
  good(`the copy has moved with it, and the old generation is still there: ${tags()}`);

  title('4. The public registry is switched off');
  await source.served.close();
  command('kubectl apply -f web-4.yaml');
  const last = await create();
  for (const text of last.warnings) warning(text);
  good(`the Deployment is admitted all the same, pointing at ${imageOf(last)}`);

  async function create(): Promise<Created> {
    const created = await cluster.create(manifest, {
      timeout: '2s',
      onRetry: (message) => output(`(${message})`),
    });
    if (!created.isAllowed) throw new Error(created.message);
    return created;
  }

  /** The tag and its generations; when it moved is told by another one, which would only confuse here. */
  function tags(): string {
    const [repository = ''] = backup.registry.store.repositories();
    return backup.registry.store
      .tags(repository)
      .filter((tag) => !tag.includes('.moved.'))
      .map((tag) => `:${tag}`)
      .join(' ');
  }

  function moved(since: number): number {
    return backup.registry.requests.bytesIn() - since;
  }
}

/** Stays up until Ctrl-C. */
async function keep({ source, url, dir }: Stage): Promise<void> {
  await source.served.reopen();
  const file = join(dir, 'review.json');
  await writeFile(file, JSON.stringify(toReview(deployment(`${source.served.host}/${image}`))));
  title('Your turn (Ctrl-C ends it)');
  command(
    `curl --cacert ${join(dir, 'ca.crt')} -H content-type:application/json -d @${file} '${url}?timeout=10s'`,
  );
  const { promise, resolve } = Promise.withResolvers<undefined>();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => resolve(undefined));
  await promise;
}

function publish({ source }: Stage, generation: string): void {
  const platforms = ['linux/amd64', 'linux/arm64'].map((platform) =>
    makeImage({ layers: [layerBytes, layerBytes / 2], platform, seed: generation }),
  );
  seed(source.registry, image, makeIndex(platforms));
}

function deployment(name: string): object {
  const labels = { app: 'web' };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'shop' },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: 'web', image: name }] },
      },
    },
  };
}

function showPatch({ patch }: Created): void {
  say('  What the webhook answered, a JSON patch:');
  output(patch.map(({ op, path, value }) => `${op} ${path} ${JSON.stringify(value)}`).join('\n'));
}

function imageOf({ patch }: Created): string {
  return String(patch.find(({ op, path }) => op === 'replace' && path.endsWith('/image'))?.value);
}

/** The webhook's own log lines of a copy under way. */
function showProgress(line: Readonly<Record<string, unknown>>): void {
  if (line['msg'] !== 'copying') return;
  const [done, total] = [Number(line['doneBytes']), Number(line['totalBytes'])];
  output(
    `webhook: copying, ${Math.floor((done / total) * 100)} % of ${(total / 1024 / 1024).toFixed(1)} MiB`,
  );
}

function toYaml(object: object): string {
  return stringify(object, { aliasDuplicateObjects: false, lineWidth: 0 }).trimEnd();
}
