import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';

/** The operations of RFC 6902 that the webhook uses. */
const operationSchema = v.object({
  op: v.picklist(['test', 'add', 'replace']),
  path: v.string(),
  value: v.unknown(),
});

/** The fields of an AdmissionResponse that the API server reads, with the patch decoded. */
const responseSchema = v.object({
  allowed: v.boolean(),
  patch: v.optional(
    v.pipe(v.string(), v.transform(atob), v.parseJson(), v.array(operationSchema)),
    btoa('[]'),
  ),
  warnings: v.optional(v.array(v.string()), []),
  status: v.optional(
    v.object({
      code: v.number(),
      message: v.string(),
      details: v.optional(v.object({ retryAfterSeconds: v.number() })),
    }),
  ),
});
type ReviewResponse = v.InferOutput<typeof responseSchema>;

interface CreateOptions {
  readonly url: string;
  /** The CA in PEM: `caBundle` of the webhook configuration. */
  readonly ca: string;
  /** Timeout of the webhook call, as the API server writes it in the URL. */
  readonly timeout: string;
  /** Receives the webhook's message before each retry. */
  readonly onRetry: (message: string) => void;
}

export interface CreatedObject extends ReviewResponse {
  readonly stored: object;
}

const maxRetries = 10;

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

/** Simulates the API server's call to the webhook, and a client that retries on a 504 with a delay, as client-go does. */
export async function createObject(object: object, options: CreateOptions): Promise<CreatedObject> {
  const { url, ca, timeout, onRetry } = options;
  for (let attempt = 0; ; attempt += 1) {
    const body = await post(`${url}?timeout=${timeout}`, ca, JSON.stringify(toReview(object)));
    const response = parseReviewResponse(body);
    const retryAfterSeconds = response.status?.details?.retryAfterSeconds;
    if (response.status?.code !== 504 || retryAfterSeconds === undefined || attempt >= maxRetries) {
      return { ...response, stored: applyPatch(object, response.patch) };
    }
    onRetry(response.status.message);
    await delay(retryAfterSeconds * 1000);
  }
}

export function parseReviewResponse(body: string): ReviewResponse {
  return v.parse(v.object({ response: responseSchema }), JSON.parse(body)).response;
}

/** Applies `test`, `add` and `replace` of RFC 6902 to a copy of an object, as the API server does. */
function applyPatch(object: object, patch: ReviewResponse['patch']): object {
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
