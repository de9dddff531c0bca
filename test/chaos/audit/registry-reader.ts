import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { field, list, text } from '../answer.ts';
import type { Login } from '../servers/auth-mount.ts';
import { toBasic } from './secrets.ts';

/** Reads a registry as a kubelet would, without a proxy and without the product's client. */
export interface RegistryReader {
  /** Names of all repositories. */
  repositories(): Promise<readonly string[]>;
  tags(repository: string): Promise<readonly string[]>;
  /** Digest of a tag, or `undefined`. */
  digest(repository: string, reference: string): Promise<string | undefined>;
  /** Problems of an image; empty if all of it can be pulled. */
  inspect(repository: string, reference: string, depth: 'heads' | 'bytes'): Promise<Inspection>;
}

interface Inspection {
  readonly digest: string | undefined;
  readonly problems: readonly string[];
}

interface Received {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

export function createRegistryReader(host: string, login: Login): RegistryReader {
  const authorization = `Basic ${toBasic(login)}`;
  /** Bytes of a digest never change, so each is read once per repository. */
  const whole = new Set<string>();

  /** distribution 2.8 answers 500 while a link is being written; a kubelet retries too. */
  async function ask(method: string, path: string): Promise<Received> {
    for (let attempt = 1; ; attempt += 1) {
      const received = await askOnce(method, path);
      if (received.status < 500 || attempt === 3) return received;
      await delay(100);
    }
  }

  async function askOnce(method: string, path: string): Promise<Received> {
    const { promise, resolve, reject } = Promise.withResolvers<Received>();
    const outgoing = request(
      `http://${host}/v2/${path}`,
      { method, agent: false, headers: { authorization, accept: manifestTypes } },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () =>
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            body: Buffer.concat(chunks),
          }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
    return await promise;
  }

  async function names(path: string, name: string): Promise<readonly string[]> {
    const { status, body } = await ask('GET', path);
    return status === 200 ? list(field(JSON.parse(body.toString()), name)).map(text) : [];
  }

  async function inspectBlob(
    repository: string,
    descriptor: unknown,
    depth: 'heads' | 'bytes',
  ): Promise<readonly string[]> {
    const [digest, size] = [text(field(descriptor, 'digest')), Number(field(descriptor, 'size'))];
    const key = `${repository}@${digest}`;
    if (whole.has(key) && depth === 'bytes') return [];
    const path = `${repository}/blobs/${digest}`;
    const { status, headers, body } = await ask(depth === 'heads' ? 'HEAD' : 'GET', path);
    if (status !== 200) return [`blob ${digest} is answered with ${status}`];
    const length = depth === 'heads' ? Number(headers['content-length']) : body.length;
    if (length !== size) return [`blob ${digest} has ${length} bytes, not ${size}`];
    if (depth === 'heads') return [];
    if (sha256(body) !== digest) return [`blob ${digest} holds other bytes`];
    whole.add(key);
    return [];
  }

  async function inspect(
    repository: string,
    reference: string,
    depth: 'heads' | 'bytes',
  ): Promise<Inspection> {
    const { status, body } = await ask('GET', `${repository}/manifests/${reference}`);
    if (status !== 200) {
      const problems = [`manifest ${reference} is answered with ${status}`];
      return { digest: undefined, problems };
    }
    const digest = sha256(body);
    if (reference.startsWith('sha256:') && digest !== reference) {
      return { digest, problems: [`manifest ${reference} holds other bytes`] };
    }
    const manifest: unknown = JSON.parse(body.toString());
    const problems: string[] = [];
    for (const child of list(field(manifest, 'manifests'))) {
      const inspected = await inspect(repository, text(field(child, 'digest')), depth);
      problems.push(...inspected.problems);
    }
    const config = field(manifest, 'config');
    const blobs = [...(config === undefined ? [] : [config]), ...list(field(manifest, 'layers'))];
    for (const blob of blobs) problems.push(...(await inspectBlob(repository, blob, depth)));
    return { digest, problems };
  }

  return {
    repositories: () => names('_catalog?n=1000', 'repositories'),
    tags: (repository) => names(`${repository}/tags/list`, 'tags'),
    digest: async (repository, reference) => {
      const { status, body } = await ask('GET', `${repository}/manifests/${reference}`);
      return status === 200 ? sha256(body) : undefined;
    },
    inspect,
  };
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
