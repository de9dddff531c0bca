import { randomUUID } from 'node:crypto';
import { request } from 'node:https';
import { type PatchOperation, parseAnswer } from './review-response.ts';

/** The part of an API server that matters here, and of kubectl, which comes back when it is told to. */
export interface Cluster {
  /** Creates an object: calls the webhook over HTTPS, applies its patch, repeats the write on "come back" as every client-go client does. */
  create(object: object, options: CreateOptions): Promise<Created>;
}

interface CreateOptions {
  /** As the API server puts it on the URL. */
  readonly timeout: string;
  /** What the webhook says when it asks to come back. */
  readonly onRetry: (message: string) => void;
}

export interface Created {
  readonly isAllowed: boolean;
  readonly message: string;
  readonly warnings: readonly string[];
  readonly patch: readonly PatchOperation[];
  /** As it is stored. */
  readonly stored: object;
}

export interface ClusterOptions {
  readonly url: string;
  /** PEM of the CA: `caBundle` of the webhook configuration. */
  readonly ca: string;
}

const maxRetries = 10;

/** AdmissionReview for the creation of a Deployment. */
export function toReview(object: object): object {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: randomUUID(),
      kind: { group: 'apps', version: 'v1', kind: 'Deployment' },
      operation: 'CREATE',
      namespace: 'shop',
      name: 'web',
      object,
      oldObject: null,
      dryRun: false,
      userInfo: { username: 'you' },
    },
  };
}

export function createCluster({ url, ca }: ClusterOptions): Cluster {
  return {
    async create(object, { timeout, onRetry }) {
      for (let attempt = 0; ; attempt += 1) {
        const body = await post(`${url}?timeout=${timeout}`, ca, JSON.stringify(toReview(object)));
        const { isAllowed, status, warnings, patch } = parseAnswer(body);
        const pauseSeconds = status?.details?.retryAfterSeconds;
        if (status?.code === 504 && pauseSeconds !== undefined && attempt < maxRetries) {
          onRetry(status.message);
          await sleep(pauseSeconds * 1000);
          continue;
        }
        const message = status?.message ?? '';
        return { isAllowed, message, warnings, patch, stored: applyPatch(object, patch) };
      }
    },
  };
}

/** Applies `test`, `add` and `replace` of RFC 6902 to a copy of an object, as the API server does. */
function applyPatch(object: object, patch: readonly PatchOperation[]): object {
  const copy = structuredClone(object);
  for (const { op, path, value } of patch) {
    const keys = path.split('/').slice(1).map(unescapePointer);
    const last = keys.pop() ?? '';
    const parent = keys.reduce<unknown>(childOf, copy);
    if (typeof parent !== 'object' || parent === null) throw new Error(`nothing is at ${path}`);
    const current: unknown = Reflect.get(parent, last);
    if (op === 'test' && JSON.stringify(current) !== JSON.stringify(value)) {
      throw new Error(`something else is at ${path}`);
    }
    if (op === 'replace' && current === undefined) throw new Error(`nothing is at ${path}`);
    if (op === 'add' && Array.isArray(parent) && last === '-') parent.push(value);
    else if (op !== 'test') Reflect.set(parent, last, value);
  }
  return copy;
}

function childOf(node: unknown, key: string): unknown {
  return typeof node === 'object' && node !== null ? Reflect.get(node, key) : undefined;
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}

async function post(url: string, ca: string, body: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const headers = { 'content-type': 'application/json' };
  const asked = request(url, { method: 'POST', ca, headers }, (answer) => {
    let text = '';
    answer.setEncoding('utf8');
    answer.on('data', (chunk: string) => {
      text += chunk;
    });
    answer.on('end', () => resolve(text));
    answer.on('error', reject);
  });
  asked.on('error', reject);
  asked.end(body);
  return await promise;
}

async function sleep(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  setTimeout(() => resolve(undefined), ms);
  await promise;
}
