import type { Exchange, Middleware, TargetKind } from '../http/index.ts';

/** What a fault is chosen by. */
interface FaultRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly kind: TargetKind;
  readonly headers: Headers;
}

export type FaultMatch = (request: FaultRequest) => boolean;

interface FaultOptions {
  /** After so many requests all is well again. @default never */
  readonly times?: number;
  /** Whether requests that would be refused with 401 count, too. @default false */
  readonly beforeAuth?: boolean;
}

interface Fault {
  /** How many requests it has met. */
  readonly hits: () => number;
  readonly end: () => void;
}

/** What goes wrong at a registry. */
export interface Faults {
  /** From now on `fault` stands before what `match` chooses; the fault that was added first is the outermost. */
  readonly add: (match: FaultMatch, fault: Middleware, options?: FaultOptions) => Fault;
  /** All is well again. What is held stays held. */
  readonly clear: () => void;
}

interface Rule extends Fault {
  readonly beforeAuth: boolean;
  readonly meets: (exchange: Exchange) => boolean;
  readonly fault: Middleware;
}

/** Chooses by method and by what the path names: `on('GET', 'blob')`. */
export function on(method: string, kind: TargetKind): FaultMatch {
  return (request) => request.method === method && request.kind === kind;
}

/** No faults yet, and the two places where they stand. */
export function createFaults(): {
  readonly faults: Faults;
  readonly beforeAuth: Middleware;
  readonly afterAuth: Middleware;
} {
  const rules = new Set<Rule>();
  const apply =
    (beforeAuth: boolean): Middleware =>
    (exchange, next) => {
      const met = [...rules].filter(
        (rule) => rule.beforeAuth === beforeAuth && rule.meets(exchange),
      );
      const handle = met.reduceRight<typeof next>(
        (inner, { fault }) =>
          (exchange) =>
            fault(exchange, inner),
        next,
      );
      return handle(exchange);
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
    meets: ({ method, url, target, headers }) => {
      const path = `${url.pathname}${url.search}`;
      if (hits >= times || !match({ method, path, kind: target.kind, headers })) return false;
      hits += 1;
      return true;
    },
  };
}
