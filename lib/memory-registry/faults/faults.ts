import { compose, type Exchange, type Middleware, type TargetKind } from '../http/index.ts';

/** The properties of a request that a fault can match on. */
interface FaultRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly kind: TargetKind;
  readonly headers: Headers;
}

export type FaultMatch = (request: FaultRequest) => boolean;

interface FaultOptions {
  /** How many requests the fault applies to. @default every one */
  readonly times?: number;
  /** Whether the fault applies before authentication. @default false, so a 401 does not count */
  readonly beforeAuth?: boolean;
}

interface Fault {
  /** How many requests the fault has applied to. */
  readonly hits: () => number;
  /** Removes the fault. */
  readonly end: () => void;
}

/** The active faults of a registry. */
export interface Faults {
  /** Applies `fault` to the requests that `match` selects; the fault added first is the outermost. */
  readonly add: (match: FaultMatch, fault: Middleware, options?: FaultOptions) => Fault;
  /** Removes all faults. A held request stays held. */
  readonly clear: () => void;
}

interface Rule extends Required<FaultOptions> {
  readonly match: FaultMatch;
  readonly fault: Middleware;
  hits: number;
}

/** Matches requests by method and kind of resource: `on('GET', 'blob')`. */
export function on(method: string, kind: TargetKind): FaultMatch {
  return (request) => request.method === method && request.kind === kind;
}

/** Creates an empty set of faults and the two middlewares that apply them. */
export function createFaults(): {
  readonly faults: Faults;
  readonly beforeAuth: Middleware;
  readonly afterAuth: Middleware;
} {
  const rules = new Set<Rule>();
  const apply =
    (beforeAuth: boolean): Middleware =>
    (exchange, next) => {
      const faults = [...rules]
        .filter((rule) => rule.beforeAuth === beforeAuth && take(rule, exchange))
        .map(({ fault }) => fault);
      return compose(faults, next)(exchange);
    };
  return {
    faults: {
      add: (match, fault, { times = Number.POSITIVE_INFINITY, beforeAuth = false } = {}) => {
        const rule = { match, fault, times, beforeAuth, hits: 0 };
        rules.add(rule);
        return { hits: () => rule.hits, end: () => rules.delete(rule) };
      },
      clear: () => rules.clear(),
    },
    beforeAuth: apply(true),
    afterAuth: apply(false),
  };
}

/** Whether the rule applies to the request, which then counts. */
function take(rule: Rule, { method, url, target, headers }: Exchange): boolean {
  const path = `${url.pathname}${url.search}`;
  const applies =
    rule.hits < rule.times && rule.match({ method, path, kind: target.kind, headers });
  if (applies) rule.hits += 1;
  return applies;
}
