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

interface Rule extends Fault {
  readonly beforeAuth: boolean;
  readonly matches: (exchange: Exchange) => boolean;
  readonly fault: Middleware;
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
        .filter((rule) => rule.beforeAuth === beforeAuth && rule.matches(exchange))
        .map(({ fault }) => fault);
      return compose(faults, next)(exchange);
    };
  return {
    faults: {
      add: (match, fault, options = {}) => {
        const rule = createRule(match, fault, options, () => rules.delete(rule));
        rules.add(rule);
        return rule;
      },
      clear: () => rules.clear(),
    },
    beforeAuth: apply(true),
    afterAuth: apply(false),
  };
}

function createRule(
  match: FaultMatch,
  fault: Middleware,
  { times = Number.POSITIVE_INFINITY, beforeAuth = false }: FaultOptions,
  end: () => void,
): Rule {
  let hits = 0;
  return {
    fault,
    beforeAuth,
    end,
    hits: () => hits,
    matches: ({ method, url, target, headers }) => {
      const path = `${url.pathname}${url.search}`;
      if (hits >= times || !match({ method, path, kind: target.kind, headers })) return false;
      hits += 1;
      return true;
    },
  };
}
