import type { Middleware, TargetKind } from './http/index.ts';

/** One received request, with or without a response. */
interface RequestRecord {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly kind: TargetKind;
  readonly repository?: string;
  readonly headers: Headers;
  /** Absent until the response starts, and if the connection is dropped. */
  readonly status?: number;
  /** Body bytes received. */
  readonly bytesIn: number;
  /** Body bytes sent. */
  readonly bytesOut: number;
}

type RequestFilter = Partial<Pick<RequestRecord, 'method' | 'kind' | 'repository'>>;

export interface RequestLog {
  /** Matching requests in order of arrival. */
  readonly list: (filter?: RequestFilter) => readonly RequestRecord[];
  readonly count: (filter?: RequestFilter) => number;
  /** Requests by method and kind: `{ 'GET blob': 3, 'PUT manifest': 1 }`. */
  readonly tally: () => Readonly<Record<string, number>>;
  readonly bytesIn: () => number;
  readonly bytesOut: () => number;
  readonly clear: () => void;
}

/** Creates a request log and the middleware that writes it. */
export function createRequestLog(): { readonly log: RequestLog; readonly record: Middleware } {
  const records: { -readonly [Key in keyof RequestRecord]: RequestRecord[Key] }[] = [];

  const record: Middleware = async (exchange, next) => {
    const { method, url, target, headers, body } = exchange;
    const entry: (typeof records)[number] = {
      method,
      path: `${url.pathname}${url.search}`,
      kind: target.kind,
      ...('repository' in target && { repository: target.repository }),
      headers: new Headers(headers),
      bytesIn: 0,
      bytesOut: 0,
    };
    records.push(entry);
    const counted = count(body, (bytes) => {
      entry.bytesIn += bytes;
    });
    const response = await next({ ...exchange, body: counted });
    if (response === exchange.connection?.alreadySent) {
      const sent = exchange.connection.sent();
      if (sent !== undefined) Object.assign(entry, { status: sent.status, bytesOut: sent.bytes });
      return response;
    }
    entry.status = response.status;
    if (response.body === null || method === 'HEAD') return response;
    const sent = count(response.body, (bytes) => {
      entry.bytesOut += bytes;
    });
    return new Response(ReadableStream.from(sent), response);
  };

  const list: RequestLog['list'] = ({ method, kind, repository } = {}) =>
    records.filter(
      (entry) =>
        (method === undefined || entry.method === method) &&
        (kind === undefined || entry.kind === kind) &&
        (repository === undefined || entry.repository === repository),
    );
  return {
    log: {
      list,
      count: (filter) => list(filter).length,
      tally: () => {
        const groups = Map.groupBy(records, ({ method, kind }) => `${method} ${kind}`);
        return Object.fromEntries([...groups].map(([name, group]) => [name, group.length]));
      },
      bytesIn: () => records.reduce((sum, entry) => sum + entry.bytesIn, 0),
      bytesOut: () => records.reduce((sum, entry) => sum + entry.bytesOut, 0),
      clear: () => {
        records.length = 0;
      },
    },
    record,
  };
}

async function* count<Chunk extends Uint8Array>(
  body: AsyncIterable<Chunk>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Chunk> {
  for await (const chunk of body) {
    onBytes(chunk.length);
    yield chunk;
  }
}
