import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { type PatchOperation, parseReviewResponse } from './review-response.ts';

/** Simulates the API server's call to an admission webhook, and the retry of its client. */
export interface Cluster {
  /** Reviews a new object, applies the patch, and retries on a 504 with a delay, as client-go does. */
  create(object: object, options: CreateOptions): Promise<Created>;
}

interface CreateOptions {
  /** Timeout of the webhook call, as the API server writes it in the URL. */
  readonly timeout: string;
  /** Receives the webhook's message before each retry. */
  readonly onRetry: (message: string) => void;
}

export interface Created {
  readonly isAllowed: boolean;
  readonly message: string;
  readonly warnings: readonly string[];
  readonly patch: readonly PatchOperation[];
  /** The patched object. */
  readonly stored: object;
}

export interface ClusterOptions {
  readonly url: string;
  /** The CA in PEM: `caBundle` of the webhook configuration. */
  readonly ca: string;
}

const maxRetries = 10;

/** Builds the AdmissionReview for the creation of a Deployment. */
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
        const { isAllowed, status, warnings, patch } = parseReviewResponse(body);
        const retryAfterSeconds = status?.details?.retryAfterSeconds;
        if (status?.code === 504 && retryAfterSeconds !== undefined && attempt < maxRetries) {
          onRetry(status.message);
          await delay(retryAfterSeconds * 1000);
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
    if (typeof parent !== 'object' || parent === null) {
      throw new Error(`JSON patch cannot be applied: nothing is at ${path}`);
    }
    const current: unknown = Reflect.get(parent, last);
    if (op === 'test' && JSON.stringify(current) !== JSON.stringify(value)) {
      throw new Error(`JSON patch cannot be applied: the value at ${path} has changed`);
    }
    if (op === 'replace' && current === undefined) {
      throw new Error(`JSON patch cannot be applied: nothing is at ${path}`);
    }
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
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const headers = { 'content-type': 'application/json' };
  const outgoing = request(url, { method: 'POST', ca, headers }, resolve);
  outgoing.on('error', reject);
  outgoing.end(body);
  return await text(await promise);
}
