import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { createCertificateChain } from '../../lib/install/certificate.ts';
import {
  changeBody,
  createMemoryRegistry,
  type MemoryRegistry,
  type MemoryRegistryOptions,
  on,
  type ServedRegistry,
  serveMemoryRegistry,
} from '../../lib/memory-registry/index.ts';

/** Two registries and the real webhook as a child process. */
export interface Environment {
  readonly source: MemoryRegistry & ServedRegistry;
  readonly backup: MemoryRegistry & ServedRegistry;
  /** `https://127.0.0.1:PORT/clone-image` */
  readonly url: string;
  /** The CA of the webhook's certificate, in PEM. */
  readonly ca: string;
  /** Temporary folder with `ca.crt`. */
  readonly dir: string;
  readonly close: () => Promise<void>;
}

const user = { username: 'demo', password: 'demo' };
const chunkDelayMs = 45;
const lineSchema = v.record(v.string(), v.unknown());

/** @param onLog receives each line of the webhook's log */
export async function startEnvironment(
  onLog: (line: Readonly<Record<string, unknown>>) => void,
): Promise<Environment> {
  const dir = await mkdtemp(join(tmpdir(), 'image-cloner-demo-'));
  const source = await serve();
  const users = { [user.username]: user.password };
  const backup = await serve({ auth: { scheme: 'basic', users } });
  // Slow enough that the copy outlasts the webhook timeout and reports progress.
  source.faults.add(on('GET', 'blob'), changeBody(slowDown));

  const { ca, certificate, key } = await createCertificateChain({
    hosts: ['127.0.0.1'],
    now: new Date(),
  });
  const files = {
    'ca.crt': ca,
    'tls.crt': certificate,
    'tls.key': key,
    username: user.username,
    password: user.password,
  };
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(dir, name), text, { mode: 0o600 });
  }
  const port = await findFreePort();
  const webhook = spawn(process.execPath, ['--import', 'tsx', 'functions/webhook/main.ts'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      CLONER: 'registry',
      REGISTRY: backup.host,
      REGISTRY_NAMESPACE: 'backups',
      REGISTRY_AUTH_DIR: dir,
      PORT: String(port),
      TLS_CERT_FILE: join(dir, 'tls.crt'),
      TLS_PRIVATE_KEY_FILE: join(dir, 'tls.key'),
    },
  });
  const ended = once(webhook, 'close');
  const ready = Promise.withResolvers<undefined>();
  webhook.once('close', (code) =>
    ready.reject(
      new Error(`the webhook did not start: it exited with code ${code}; see its output above`),
    ),
  );
  createInterface({ input: webhook.stdout }).on('line', (text) => {
    const line = v.parse(lineSchema, JSON.parse(text));
    if (line['msg'] === 'ready') ready.resolve(undefined);
    onLog(line);
  });
  await ready.promise;

  return {
    source,
    backup,
    url: `https://127.0.0.1:${port}/clone-image`,
    ca,
    dir,
    async close() {
      webhook.kill('SIGTERM');
      await ended;
      await Promise.all([source.close(), backup.close()]);
      await rm(dir, { recursive: true });
    },
  };
}

async function serve(options?: MemoryRegistryOptions): Promise<MemoryRegistry & ServedRegistry> {
  const registry = createMemoryRegistry(options);
  return { ...registry, ...(await serveMemoryRegistry({ registry })) };
}

/** Delays each 64 KiB of a response body. */
async function* slowDown(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const size = 64 * 1024;
  for await (const chunk of body) {
    for (let at = 0; at < chunk.length; at += size) {
      await delay(chunkDelayMs);
      yield chunk.subarray(at, at + size);
    }
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
