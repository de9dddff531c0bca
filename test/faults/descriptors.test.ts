import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import {
  createMemoryRegistry,
  makeImage,
  type ServedRegistry,
  seed,
  serveMemoryRegistry,
} from '../../lib/memory-registry/index.ts';
import { createAuthDir } from '../real/support/auth-dir.ts';
import { eventually } from '../real/support/eventually.ts';
import { startWebhook, type Webhook } from '../real/support/webhook.ts';
import { deployment, review } from '../support/reviews.ts';

const limit = 48;
const isLinux = process.platform === 'linux';

/** The webhook process with few file descriptors. */
describe('a webhook without free file descriptors', { skip: !isLinux }, () => {
  const image = makeImage();
  let webhook: Webhook;
  let backup: ServedRegistry;
  const sources: ServedRegistry[] = [];
  const others: Socket[] = [];

  before(async () => {
    const serve = async (): Promise<ServedRegistry> => {
      const registry = createMemoryRegistry();
      seed(registry, 'app:1', image);
      return await serveMemoryRegistry({ registry });
    };
    backup = await serveMemoryRegistry({ registry: createMemoryRegistry() });
    sources.push(await serve(), await serve());
    const start = 'exec "$0" --import tsx functions/webhook/main.ts';
    webhook = await startWebhook({
      command: ['/bin/sh', '-c', `ulimit -n ${limit}; ${start}`, process.execPath],
      env: {
        CLONER: 'registry',
        REGISTRY: backup.host,
        REGISTRY_NAMESPACE: 'acme',
        REGISTRY_AUTH_DIR: await createAuthDir({ name: 'acme', password: 'secret' }),
      },
    });
  });
  after(async () => {
    for (const socket of others) socket.destroy();
    await webhook.stop();
    await Promise.all([backup, ...sources].map((registry) => registry.close()));
  });

  const descriptors = (): number => readdirSync(`/proc/${webhook.pid}/fd`).length;

  /** Opens that many idle connections. */
  async function openConnections(size: number): Promise<void> {
    const { port } = new URL(webhook.url);
    const more = Array.from({ length: size }, () => connect(Number(port), '127.0.0.1'));
    others.push(...more);
    for (const socket of more) socket.on('error', () => undefined);
    await Promise.all(more.map((socket) => once(socket, 'connect')));
  }

  /** Fills all descriptors but one, including those that close meanwhile. */
  async function leaveOneDescriptor(): Promise<void> {
    await eventually('one descriptor is free', async () => {
      const left = limit - 1 - descriptors();
      if (left > 0) await openConnections(left);
      else if (left < 0) others.pop()?.destroy();
      return left === 0;
    });
  }

  async function closeConnections(): Promise<void> {
    for (const socket of others.splice(0)) socket.destroy();
    await eventually('the connections are gone', () => descriptors() < limit - 4);
  }

  async function apply(source: ServedRegistry | undefined): Promise<string> {
    const object = deployment({ web: `${source?.host}/app:1` });
    return (await webhook.review(review({ object }))).body;
  }

  it('waits for a free file descriptor, and names the webhook as the cause if none is free for a registry', async () => {
    const [known, unknown] = sources;
    assert.match(await apply(known), /"allowed":true/);
    await leaveOneDescriptor();

    const body = await apply(unknown);
    await closeConnections();

    // Retries go on for a moment, and a closed idle connection may free a descriptor.
    assert.match(body, /"allowed":true|image-cloner has no connections left/);
    await eventually('the webhook answers again', async () =>
      (await apply(unknown)).includes('"allowed":true'),
    );
  });

  it('recovers after idle connections take all file descriptors', async () => {
    await openConnections(3 * limit);
    await apply(sources[0]).catch(() => 'no answer');
    await closeConnections();

    assert.match(await apply(sources[0]), /"allowed":true/);
    assert.equal((await webhook.stop()).code, 0);
  });
});
