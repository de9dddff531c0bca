import { once } from 'node:events';
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
import { formatBytes } from '../../lib/util/quantity.ts';
import { type CreatedObject, createObject, toReview } from './create-object.ts';
import { type Environment, startEnvironment } from './environment.ts';

const layerBytes = 4 * 1024 * 1024;
const image = 'library/nginx:1.27';

const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
const isColoured = process.stdout.isTTY && process.env['NO_COLOR'] === undefined;
const colours = { bold: 1, dim: 2, green: 32, yellow: 33, cyan: 36 } as const;

title('image-cloner demo: the real webhook over HTTPS, with two registries in memory');
const environment = await startEnvironment(showProgress);
try {
  await runDemo(environment);
  if (values.keep) await waitForSignal(environment);
} finally {
  await environment.close();
}

async function runDemo({ source, backup, url, ca }: Environment): Promise<void> {
  const name = `${source.host}/${image}`;
  publish(source, 'first');
  line(`public registry  ${source.host} with ${image} for two platforms`);
  line(`your registry    ${backup.host}, empty; the webhook copies to its namespace "backups"`);
  line(`webhook          ${url}`);
  line('cluster          simulated: the call of the API server and the retry of kubectl');

  title('1. Apply a Deployment');
  const manifest = deployment(name);
  command('kubectl apply -f web.yaml');
  output(toYaml(manifest));
  line(
    'The copy outlasts the timeout of the API server: the webhook answers 504, kubectl retries:',
  );
  const first = await create();
  showPatch(first);
  line('The Deployment as the API server stores it, with the image in your registry:');
  output(toYaml(first.stored));
  success(`the backup holds ${tags()} with both platforms and the digest of the original`);

  title('2. Apply the same image again');
  const before = backup.requests.bytesIn();
  command('kubectl apply -f web-2.yaml');
  const second = await create();
  success(`admitted with ${imageOf(second)}`);
  const copiedBytes = backup.requests.bytesIn() - before;
  success(`the backup has the image already: ${copiedBytes} bytes copied`);

  title('3. The tag moves in the public registry');
  publish(source, 'second');
  command('kubectl apply -f web-3.yaml');
  await create();
  success(`the backup has the new image and keeps the old generation: ${tags()}`);

  title('4. The public registry is down');
  await source.close();
  command('kubectl apply -f web-4.yaml');
  const last = await create();
  for (const text of last.warnings) line(`${paint('yellow', 'Warning:')} ${text}`);
  success(`the Deployment is admitted with ${imageOf(last)}`);

  async function create(): Promise<CreatedObject> {
    const created = await createObject(manifest, {
      url,
      ca,
      timeout: '2s',
      onRetry: (message) => output(`webhook: 504 ${message}`),
    });
    if (!created.allowed) {
      throw new Error(`the webhook refused the Deployment: ${created.status?.message ?? ''}`);
    }
    return created;
  }

  /** The tag and its generations, without the `.moved.` tags that record when the tag moved. */
  function tags(): string {
    const [repository = ''] = backup.store.repositories();
    return backup.store
      .tags(repository)
      .filter((tag) => !tag.includes('.moved.'))
      .map((tag) => `:${tag}`)
      .join(' ');
  }
}

/** Prints a command to try and waits for Ctrl-C. */
async function waitForSignal({ source, url, dir }: Environment): Promise<void> {
  await source.reopen();
  const file = join(dir, 'review.json');
  await writeFile(file, JSON.stringify(toReview(deployment(`${source.host}/${image}`))));
  title('Try it yourself (Ctrl-C stops the demo)');
  command(
    `curl --cacert ${join(dir, 'ca.crt')} -H content-type:application/json -d @${file} '${url}?timeout=10s'`,
  );
  await Promise.race(['SIGINT', 'SIGTERM'].map((signal) => once(process, signal)));
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

function showPatch({ patch }: CreatedObject): void {
  line('The JSON patch of the webhook:');
  output(patch.map(({ op, path, value }) => `${op} ${path} ${JSON.stringify(value)}`).join('\n'));
}

function imageOf({ patch }: CreatedObject): string {
  return String(patch.find(({ op, path }) => op === 'replace' && path.endsWith('/image'))?.value);
}

function showProgress(entry: Readonly<Record<string, unknown>>): void {
  if (entry['msg'] !== 'copying') return;
  const [done, total] = [Number(entry['doneBytes']), Number(entry['totalBytes'])];
  output(`webhook log: copying, ${Math.floor((done / total) * 100)} % of ${formatBytes(total)}`);
}

function toYaml(object: object): string {
  return stringify(object, { aliasDuplicateObjects: false, lineWidth: 0 }).trimEnd();
}

function title(text: string): void {
  print(`\n${paint('bold', text)}`);
}

function line(text: string): void {
  print(`  ${text}`);
}

function command(text: string): void {
  line(paint('cyan', `$ ${text}`));
}

function success(text: string): void {
  line(`${paint('green', '✔')} ${text}`);
}

function output(text: string): void {
  print(paint('dim', text.replaceAll(/^/gm, '    ')));
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function paint(colour: keyof typeof colours, text: string): string {
  return isColoured ? `\u001b[${colours[colour]}m${text}\u001b[0m` : text;
}
