import { type Exchange, type Handler, type Middleware, readBody } from '../http/index.ts';
import { toDigest } from '../images/index.ts';

/** What a policy refuses. */
interface Refused {
  /** Empty if the request names none. */
  readonly repository: string;
  readonly reference: string;
  readonly url: URL;
}

export type Refusal = (refused: Refused) => Response;

interface RegistryError {
  readonly code: string;
  readonly message: string;
  readonly detail?: unknown;
}

/** A refusal with one error, which may name the repository and the tag. */
export function refusal(
  status: number,
  error: RegistryError | ((refused: Refused) => RegistryError),
  headers: (refused: Refused) => Readonly<Record<string, string>> = () => ({}),
): Refusal {
  return (refused) =>
    Response.json(
      { errors: [typeof error === 'function' ? error(refused) : error] },
      { status, headers: headers(refused) },
    );
}

/** Refuses every request. */
export function refuse(refusal: Refusal): Middleware {
  return async (exchange) => refusal(toRefused(exchange));
}

/** Refuses every request to a repository that `isAllowed` rejects. */
export function refuseRepositories(
  isAllowed: (repository: string) => boolean,
  refuse: Refusal,
): Middleware {
  return async (exchange, next) => {
    const refused = toRefused(exchange);
    const isOther = refused.repository === '' || isAllowed(refused.repository);
    return isOther ? await next(exchange) : refuse(refused);
  };
}

/** Refuses a read of the manifests or tags of a repository to which nothing was ever pushed, instead of answering 404. */
export function refuseUnpushed(refuse: Refusal): Middleware {
  const pushed = new Set<string>();
  return async (exchange, next) => {
    const { method, target } = exchange;
    const refused = toRefused(exchange);
    if (method === 'POST') pushed.add(refused.repository);
    const isRead = method === 'GET' || method === 'HEAD';
    if (!isRead || (target.kind !== 'manifest' && target.kind !== 'tags')) {
      return await next(exchange);
    }
    return pushed.has(refused.repository) || (await exists(exchange, refused.repository, next))
      ? await next(exchange)
      : refuse(refused);
  };
}

/** Refuses an anonymous token for a repository that does not exist. */
export function refuseAnonymousToken(refuse: Refusal): Middleware {
  return async (exchange, next) => {
    const { url, headers } = exchange;
    const [, repository] = /^repository:(.+):/.exec(url.searchParams.get('scope') ?? '') ?? [];
    if (headers.has('authorization') || repository === undefined) return await next(exchange);
    if (await exists(exchange, repository, next)) return await next(exchange);
    return refuse({ repository, reference: '', url });
  };
}

/** Refuses to write a tag that exists, whatever it holds. */
export function refuseTagMoves(refuse: Refusal): Middleware {
  return async (exchange, next) => {
    const refused = toRefused(exchange);
    if (refused.reference.includes(':')) return await next(exchange);
    const current = await next(toLookup(exchange, exchange.target));
    return current.status === 200 ? refuse(refused) : await next(exchange);
  };
}

/** Refuses to write a manifest that the repository has, also under a new tag. */
export function refuseRewrites(refuse: Refusal): Middleware {
  return async (exchange, next) => {
    const { target } = exchange;
    const bytes = await readBody(exchange.body, Number.POSITIVE_INFINITY);
    if (target.kind !== 'manifest' || bytes === undefined) return await next(exchange);
    const lookup = toLookup(exchange, { ...target, reference: toDigest(bytes) });
    if ((await next(lookup)).status === 200) return refuse(toRefused(exchange));
    return await next({ ...exchange, body: ReadableStream.from([bytes]) });
  };
}

/** Refuses manifests with this text. */
export function refuseText(text: string, refuse: Refusal): Middleware {
  return async (exchange, next) => {
    const bytes = await readBody(exchange.body, Number.POSITIVE_INFINITY);
    if (bytes === undefined) return await next(exchange);
    return new TextDecoder().decode(bytes).includes(text)
      ? refuse(toRefused(exchange))
      : await next({ ...exchange, body: ReadableStream.from([bytes]) });
  };
}

/** Refuses manifests of other media types. */
export function refuseMediaTypes(isAllowed: (mediaType: string) => boolean): Middleware {
  return async (exchange, next) => {
    const mediaType = exchange.headers.get('content-type') ?? '';
    if (isAllowed(mediaType)) return await next(exchange);
    const detail = { mediaType };
    const error = { code: 'MANIFEST_INVALID', message: 'manifest invalid', detail };
    return Response.json({ errors: [error] }, { status: 415 });
  };
}

function toRefused({ target, url }: Exchange): Refused {
  const repository = 'repository' in target ? target.repository : '';
  return { repository, reference: 'reference' in target ? target.reference : '', url };
}

async function exists(exchange: Exchange, repository: string, next: Handler): Promise<boolean> {
  return (await next(toLookup(exchange, { kind: 'tags', repository }))).status === 200;
}

/** A request of the fault itself, which does not consume the body of the client's request. */
function toLookup(exchange: Exchange, target: Exchange['target']): Exchange {
  return {
    ...exchange,
    method: 'GET',
    headers: new Headers(),
    target,
    body: ReadableStream.from([]),
  };
}
