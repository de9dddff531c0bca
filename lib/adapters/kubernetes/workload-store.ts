import {
  HttpMethod,
  IsomorphicFetchHttpLibrary,
  type KubeConfig,
  RequestContext,
} from '@kubernetes/client-node';
import * as v from 'valibot';
import type {
  Namespace,
  StoredWorkload,
  WorkloadKind,
  WorkloadStore,
  WriteResult,
} from '../../ports/index.ts';
import { untilAborted } from '../../util/abort.ts';
import { systemErrorCode } from './api-call.ts';

export interface WorkloadStoreDeps {
  readonly config: KubeConfig;
  /** The owner of written fields (`metadata.managedFields`). */
  readonly fieldManager: string;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** kubectl's own page size. */
const pageSize = 500;
const timeoutMs = 60_000;
/** client-go `rest/with_retry.go`. */
const maxRetries = 10;
const maxRetryAfterSeconds = 30;

const patchTypes = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
} as const;

const listSchema = v.object({
  metadata: v.optional(v.object({ continue: v.optional(v.string()) }), {}),
  items: v.nullish(v.array(v.unknown())),
});
const namespaceSchema = v.object({
  metadata: v.object({
    name: v.string(),
    labels: v.optional(v.record(v.string(), v.string()), {}),
  }),
});
const statusSchema = v.fallback(v.object({ message: v.string() }), { message: '' });

interface ApiResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

interface ApiRequest {
  readonly method: HttpMethod;
  /** Path and query, without the API server's URL. */
  readonly path: string;
  readonly body?: { readonly type: string; readonly content: unknown };
}

/** Reads and writes workloads as plain JSON. The SDK's typed clients drop unknown fields and have separate methods per kind. */
export function createWorkloadStore({
  config,
  fieldManager,
  sleep,
}: WorkloadStoreDeps): WorkloadStore {
  const http = new IsomorphicFetchHttpLibrary();
  const root = (config.getCurrentCluster()?.server ?? '').replace(/\/+$/, '');
  let dispatcher: ReturnType<RequestContext['getDispatcher']>;

  async function send(
    { method, path, body }: ApiRequest,
    signal: AbortSignal,
  ): Promise<ApiResponse> {
    const context = new RequestContext(`${root}${path}`, method);
    context.setHeaderParam('Accept', 'application/json');
    if (body !== undefined) {
      context.setHeaderParam('Content-Type', body.type);
      context.setBody(JSON.stringify(body.content));
    }
    const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    context.setSignal(within);
    try {
      await config.applySecurityAuthentication(context);
      // The SDK alone opens a TLS connection per request.
      dispatcher ??= context.getDispatcher();
      if (dispatcher !== undefined) context.setDispatcher(dispatcher);
      const response = await untilAborted(http.send(context).toPromise(), within);
      const text = await untilAborted(response.body.text(), within);
      return { status: response.httpStatusCode, headers: response.headers, body: parseJson(text) };
    } catch (error) {
      signal.throwIfAborted();
      throw new Error(`the API server ${root} did not answer: ${toProblem(error, within)}`, {
        cause: error,
      });
    }
  }

  /** Follows `Retry-After` of a running copy or an overloaded API server. */
  async function sendWithRetry(
    request: ApiRequest,
    signal: AbortSignal,
    onWait: (message: string) => void = () => undefined,
  ): Promise<ApiResponse> {
    for (let retries = 0; ; retries += 1) {
      const response = await send(request, signal);
      const seconds = toRetryAfterSeconds(response);
      if (seconds === undefined || retries === maxRetries) return response;
      onWait(toMessage(response.status, response.body));
      await sleep(seconds * 1000, signal);
    }
  }

  async function readObject(path: string, what: string, signal: AbortSignal): Promise<unknown> {
    const { status, body } = await sendWithRetry({ method: HttpMethod.GET, path }, signal);
    if (status === 404) return undefined;
    if (status !== 200) {
      throw new Error(`cannot read ${what} from the API server: ${toMessage(status, body)}`);
    }
    return body;
  }

  async function listAll(path: string, what: string, signal: AbortSignal): Promise<unknown[]> {
    const items: unknown[] = [];
    let next = '';
    do {
      const separator = path.includes('?') ? '&' : '?';
      const page = `${path}${separator}limit=${pageSize}&continue=${encodeURIComponent(next)}`;
      const list = await readObject(page, what, signal);
      if (list === undefined) return items;
      const { metadata, items: more } = v.parse(listSchema, list);
      items.push(...(more ?? []));
      next = metadata.continue ?? '';
    } while (next !== '');
    return items;
  }

  return {
    optedInNamespaces: async (labelValue, signal) => {
      const selector = encodeURIComponent(`image-cloner=${labelValue}`);
      const path = `/api/v1/namespaces?labelSelector=${selector}`;
      return (await listAll(path, 'namespaces', signal)).map(toNamespace);
    },
    readNamespace: async (name, signal) => {
      const path = `/api/v1/namespaces/${encodeURIComponent(name)}`;
      const object = await readObject(path, `namespace ${name}`, signal);
      return object === undefined ? undefined : toNamespace(object);
    },
    list: async (kind, namespace, signal) => {
      const scope = namespace ?? 'all namespaces';
      const items = await listAll(toPath(kind, namespace), `${kind.plural} in ${scope}`, signal);
      return items.map((item) => parseStoredWorkload(kind, item));
    },
    read: async ({ kind, namespace, name }, signal) => {
      const path = `${toPath(kind, namespace)}/${encodeURIComponent(name)}`;
      const object = await readObject(path, `${kind.plural}/${name} in ${namespace}`, signal);
      return object === undefined ? undefined : parseStoredWorkload(kind, object);
    },
    patch: async ({ kind, namespace, name }, { type, body }, { signal, onWait }) => {
      const path = `${toPath(kind, namespace)}/${encodeURIComponent(name)}?fieldManager=${fieldManager}`;
      const content = { type: patchTypes[type], content: body };
      const request = { method: HttpMethod.PATCH, path, body: content };
      return toResult(kind, await sendWithRetry(request, signal, onWait));
    },
  };
}

function toPath({ group, plural }: WorkloadKind, namespace: string | undefined): string {
  const api = group === '' ? '/api/v1' : `/apis/${group}/v1`;
  const scope = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${api}${scope}/${plural}`;
}

function toNamespace(object: unknown): Namespace {
  return v.parse(namespaceSchema, object).metadata;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A proxy may answer without JSON; the status code is enough then.
    return undefined;
  }
}

/** `Retry-After` of a temporary failure. */
function toRetryAfterSeconds({ status, headers }: ApiResponse): number | undefined {
  const seconds = Number(headers['retry-after'] ?? '');
  const isTemporary = status === 429 || status >= 500;
  if (!isTemporary || !Number.isInteger(seconds) || seconds <= 0) return undefined;
  return Math.min(seconds, maxRetryAfterSeconds);
}

function toResult(kind: WorkloadKind, { status, headers, body }: ApiResponse): WriteResult {
  if (status === 404) return { status: 'gone' };
  if (status !== 200) return { status: 'refused', message: toMessage(status, body) };
  return {
    status: 'written',
    stored: parseStoredWorkload(kind, body),
    warnings: parseWarnings(headers['warning'] ?? ''),
  };
}

/** `299 - "text", 299 - "text"`; inside the quotes `"` and `\` are escaped (RFC 9111 §5.5). */
function parseWarnings(header: string): readonly string[] {
  return [...header.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) =>
    text.replaceAll(/\\(.)/g, '$1'),
  );
}

function toMessage(status: number, body: unknown): string {
  const { message } = v.parse(statusSchema, body);
  return message === '' ? `HTTP ${status}` : message;
}

function toProblem(error: unknown, within: AbortSignal): string {
  const code = systemErrorCode(error);
  if (code !== undefined) return code;
  if (within.aborted) return `timeout after ${timeoutMs / 1000} s`;
  return error instanceof Error ? error.message : String(error);
}

const metadataSchema = v.object({
  metadata: v.object({ name: v.string(), namespace: v.string() }),
});

/** Reads the name and namespace of an object. Throws if it has none, which no API server sends. */
export function parseStoredWorkload(kind: WorkloadKind, object: unknown): StoredWorkload {
  const { metadata } = v.parse(metadataSchema, object);
  return { kind, ...metadata, object };
}
