import {
  HttpMethod,
  IsomorphicFetchHttpLibrary,
  type KubeConfig,
  RequestContext,
  type ResponseContext,
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

export interface WorkloadStoreDeps {
  readonly config: KubeConfig;
  /** In whose name fields are written (`metadata.managedFields`). */
  readonly fieldManager: string;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Large enough for few calls, small enough that no answer is enormous; the API server's own tools use the same. */
const pageSize = 500;
const answerMs = 60_000;
/** client-go `rest/with_retry.go`: ten repetitions, then the answer counts. */
const maxRepeats = 10;
const maxWaitSeconds = 30;

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
const statusSchema = v.object({ message: v.optional(v.string(), '') });

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

interface Question {
  readonly method: HttpMethod;
  /** Below the API server's root, with its query. */
  readonly path: string;
  readonly body?: { readonly type: string; readonly content: unknown };
}

/**
 * The workloads of a cluster as plain JSON. The SDK's classes would drop the fields that they do not know, and have one method
 * for each kind; all of ours are read and written alike.
 */
export function createWorkloadStore({
  config,
  fieldManager,
  sleep,
}: WorkloadStoreDeps): WorkloadStore {
  const http = new IsomorphicFetchHttpLibrary();
  const root = (config.getCurrentCluster()?.server ?? '').replace(/\/+$/, '');
  let kept: ReturnType<RequestContext['getDispatcher']>;

  async function ask({ method, path, body }: Question, signal: AbortSignal): Promise<Answer> {
    const context = new RequestContext(`${root}${path}`, method);
    context.setHeaderParam('Accept', 'application/json');
    if (body !== undefined) {
      context.setHeaderParam('Content-Type', body.type);
      context.setBody(JSON.stringify(body.content));
    }
    const within = AbortSignal.any([signal, AbortSignal.timeout(answerMs)]);
    context.setSignal(within);
    try {
      await config.applySecurityAuthentication(context);
      // The SDK makes a new agent, and with it a new TLS connection, for every request.
      kept ??= context.getDispatcher();
      if (kept !== undefined) context.setDispatcher(kept);
      const response = await untilAborted(http.send(context).toPromise(), within);
      return await toAnswer(response, within);
    } catch (error) {
      signal.throwIfAborted();
      throw new Error(`the API server ${root} did not answer: ${toProblem(error)}`, {
        cause: error,
      });
    }
  }

  /** Comes back when it is told to, for a copy that goes on or an API server that is busy. */
  async function askPatiently(
    question: Question,
    signal: AbortSignal,
    onWait: (message: string) => void = () => undefined,
  ): Promise<Answer> {
    for (let repeats = 0; ; repeats += 1) {
      const answer = await ask(question, signal);
      const seconds = toWaitSeconds(answer);
      if (seconds === undefined || repeats === maxRepeats) return answer;
      onWait(toMessage(answer.status, answer.body));
      await sleep(seconds * 1000, signal);
    }
  }

  async function mustAsk(path: string, what: string, signal: AbortSignal): Promise<unknown> {
    const { status, body } = await askPatiently({ method: HttpMethod.GET, path }, signal);
    if (status === 404) return undefined;
    if (status !== 200) {
      throw new Error(`the API server does not show ${what}: ${toMessage(status, body)}`);
    }
    return body;
  }

  async function listAll(path: string, what: string, signal: AbortSignal): Promise<unknown[]> {
    const items: unknown[] = [];
    let next = '';
    do {
      const separator = path.includes('?') ? '&' : '?';
      const page = `${path}${separator}limit=${pageSize}&continue=${encodeURIComponent(next)}`;
      const list = await mustAsk(page, what, signal);
      if (list === undefined) return items;
      const { metadata, items: more } = v.parse(listSchema, list);
      items.push(...(more ?? []));
      next = metadata.continue ?? '';
    } while (next !== '');
    return items;
  }

  return {
    optedInNamespaces: async (signal) => {
      const selector = encodeURIComponent('image-cloner=enabled');
      const path = `/api/v1/namespaces?labelSelector=${selector}`;
      return (await listAll(path, 'namespaces', signal)).map(toNamespace);
    },
    readNamespace: async (name, signal) => {
      const path = `/api/v1/namespaces/${encodeURIComponent(name)}`;
      const found = await mustAsk(path, `the namespace ${name}`, signal);
      return found === undefined ? undefined : toNamespace(found);
    },
    list: async (kind, namespace, signal) => {
      const where = namespace === undefined ? 'any namespace' : namespace;
      const items = await listAll(toPath(kind, namespace), `${kind.plural} in ${where}`, signal);
      return items.map((item) => parseStoredWorkload(kind, item));
    },
    read: async ({ kind, namespace, name }, signal) => {
      const path = `${toPath(kind, namespace)}/${encodeURIComponent(name)}`;
      const found = await mustAsk(path, `${kind.plural}/${name} in ${namespace}`, signal);
      return found === undefined ? undefined : parseStoredWorkload(kind, found);
    },
    patch: async ({ kind, namespace, name }, { type, body }, { signal, onWait }) => {
      const path = `${toPath(kind, namespace)}/${encodeURIComponent(name)}?fieldManager=${fieldManager}`;
      const content = { type: patchTypes[type], content: body };
      const question = { method: HttpMethod.PATCH, path, body: content };
      return toResult(kind, await askPatiently(question, signal, onWait));
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

async function toAnswer(response: ResponseContext, signal: AbortSignal): Promise<Answer> {
  const text = await untilAborted(response.body.text(), signal);
  return {
    status: response.httpStatusCode,
    headers: response.headers,
    body: parseJson(text),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A proxy in between answers in its own language; the status code says enough.
    return undefined;
  }
}

/** How long to wait before the same write is sent again, where the answer asks for that. */
function toWaitSeconds({ status, headers }: Answer): number | undefined {
  const seconds = Number(headers['retry-after'] ?? '');
  const isTemporary = status === 429 || status >= 500;
  if (!isTemporary || !Number.isInteger(seconds) || seconds <= 0) return undefined;
  return Math.min(seconds, maxWaitSeconds);
}

function toResult(kind: WorkloadKind, { status, headers, body }: Answer): WriteResult {
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
  const parsed = v.safeParse(statusSchema, body);
  const message = parsed.success ? parsed.output.message : '';
  return message === '' ? `HTTP ${status}` : message;
}

function toProblem(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string') return cause.code;
    if (cause.name === 'TimeoutError') return `nothing for ${answerMs / 1000} s`;
  }
  return error instanceof Error ? error.message : String(error);
}

const metadataSchema = v.object({
  metadata: v.object({ name: v.string(), namespace: v.string() }),
});

/** Reads the name of what the API server listed. Throws for what has none, which no API server sends. */
export function parseStoredWorkload(kind: WorkloadKind, object: unknown): StoredWorkload {
  const { metadata } = v.parse(metadataSchema, object);
  return { kind, ...metadata, object };
}
