import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import {
  type MemoryRegistry,
  makeImage,
  makeIndex,
  seed,
} from '../../lib/memory-registry/index.ts';
import { type Created, createCluster, toReview } from './cluster.ts';
import { type Environment, startEnvironment } from './environment.ts';
import { createPrinter } from './printer.ts';

const layerBytes = 4 * 1024 * 1024;
const image = 'library/nginx:1.27';

const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
const { title, line, command, output, success, warning } = createPrinter({
  write: (text) => process.stdout.write(text),
  isColoured: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
});

title('image-cloner demo: the real webhook over HTTPS, with two registries in memory');
const environment = await startEnvironment({ onLog: showProgress });
try {
  await runDemo(environment);
  if (values.keep) await waitForSignal(environment);
} finally {
  await environment.close();
}

async function runDemo({ source, backup, url, ca }: Environment): Promise<void> {
  const cluster = createCluster({ url, ca });
  const name = `${source.served.host}/${image}`;
  publish(source.registry, 'first');
  line(`public registry  ${source.served.host} with ${image} for two platforms`);
  line(
    `your registry    ${backup.served.host}, empty; the webhook copies to its namespace "backups"`,
  );
  line(`webhook          ${url}`);
  line('cluster          simulated: the call of the API server and the retry of kubectl');

  title('1. Apply a Deployment');
  const manifest = deployment(name);
  command('kubectl apply -f web.yaml');
  output(toYaml(manifest));
  line(
    'The copy outlasts the timeout of the API server: the webhook answers 504, kubectl retries.',
  );
  const first = await create();
  showPatch(first);
  line('The Deployment as the API server stores it, with the image in your registry:');
  output(toYaml(first.stored));
  success(`the backup holds ${tags()} with both platforms and the digest of the original`);

  title('2. Apply the same image again');
  const before = backup.registry.requests.bytesIn();
  command('kubectl apply -f web-2.yaml');
  const second = await create();
  success(`admitted with ${imageOf(second)}`);
  success(`the backup has the image already: ${bytesSince(before)} bytes copied`);

  title('3. The tag moves in the public registry');
  publish(source.registry, 'second');
  command('kubectl apply -f web-3.yaml');
  await create();
  success(`the backup has the new image and keeps the old generation: ${tags()}`);

  title('4. The public registry is down');
  await source.served.close();
  command('kubectl apply -f web-4.yaml');
  const last = await create();
  for (const text of last.warnings) warning(text);
  success(`the Deployment is admitted with ${imageOf(last)}`);

  async function create(): Promise<Created> {
    const created = await cluster.create(manifest, {
      timeout: '2s',
      onRetry: (message) => output(`webhook: 504 ${message}`),
    });
    if (!created.isAllowed) throw new Error(created.message);
    return created;
  }

  /** The tag and its generations, without the `.moved.` tags that record when the tag moved. */
  function tags(): string {
    const [repository = ''] = backup.registry.store.repositories();
    return backup.registry.store
      .tags(repository)
      .filter((tag) => !tag.includes('.moved.'))
      .map((tag) => `:${tag}`)
      .join(' ');
  }

  function bytesSince(before: number): number {
    return backup.registry.requests.bytesIn() - before;
  }
}

/** Prints a command to try and waits for Ctrl-C. */
async function waitForSignal({ source, url, dir }: Environment): Promise<void> {
  await source.served.reopen();
  const file = join(dir, 'review.json');
  await writeFile(file, JSON.stringify(toReview(deployment(`${source.served.host}/${image}`))));
  title('Try it yourself (Ctrl-C stops the demo)');
  command(
    `curl --cacert ${join(dir, 'ca.crt')} -H content-type:application/json -d @${file} '${url}?timeout=10s'`,
  );
  const { promise, resolve } = Promise.withResolvers<undefined>();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => resolve(undefined));
  await promise;
}

function publish(registry: MemoryRegistry, generation: string): void {
  const platforms = ['linux/amd64', 'linux/arm64'].map((platform) =>
    makeImage({ layers: [layerBytes, layerBytes / 2], platform, seed: generation }),
  );
  seed(registry, image, makeIndex(platforms));
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
  line('The JSON patch of the webhook:');
  output(patch.map(({ op, path, value }) => `${op} ${path} ${JSON.stringify(value)}`).join('\n'));
}

function imageOf({ patch }: Created): string {
  return String(patch.find(({ op, path }) => op === 'replace' && path.endsWith('/image'))?.value);
}

/** Prints the progress lines of the webhook's log. */
function showProgress(entry: Readonly<Record<string, unknown>>): void {
  if (entry['msg'] !== 'copying') return;
  const [done, total] = [Number(entry['doneBytes']), Number(entry['totalBytes'])];
  output(
    `webhook log: copying, ${Math.floor((done / total) * 100)} % of ${(total / 1024 / 1024).toFixed(1)} MiB`,
  );
}

function toYaml(object: object): string {
  return stringify(object, { aliasDuplicateObjects: false, lineWidth: 0 }).trimEnd();
}
