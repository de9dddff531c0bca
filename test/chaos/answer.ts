/** The webhook's response, parsed without the product's code, which is under test. */
export interface Verdict {
  readonly allowed: boolean;
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly retryAfterSeconds: number | undefined;
  readonly warnings: readonly string[];
  readonly patch: readonly Operation[] | undefined;
}

export interface Operation {
  readonly op: string;
  readonly path: string;
  readonly value: unknown;
}

/** Throws unless the body is an AdmissionReview with a response. */
export function parseVerdict(body: string): Verdict {
  const response = field(JSON.parse(body), 'response');
  const allowed = field(response, 'allowed');
  if (typeof allowed !== 'boolean') throw new Error(`no AdmissionReview: ${body.slice(0, 200)}`);
  const status = field(response, 'status');
  const seconds = field(field(status, 'details'), 'retryAfterSeconds');
  const patch = field(response, 'patch');
  return {
    allowed,
    code: Number(field(status, 'code') ?? 200),
    reason: text(field(status, 'reason')),
    message: text(field(status, 'message')),
    retryAfterSeconds: typeof seconds === 'number' ? seconds : undefined,
    warnings: list(field(response, 'warnings')).map(text),
    patch:
      typeof patch === 'string'
        ? list(JSON.parse(Buffer.from(patch, 'base64').toString())).map((operation) => ({
            op: text(field(operation, 'op')),
            path: text(field(operation, 'path')),
            value: field(operation, 'value'),
          }))
        : undefined,
  };
}

/** `value[name]`, or `undefined` if there is none. */
export function field(value: unknown, name: string | number): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The object that the API server would store. Supports the operations that the webhook sends: test, add, replace. */
export function applyPatch(object: unknown, operations: readonly Operation[]): unknown {
  const stored: unknown = structuredClone(object);
  for (const { op, path, value } of operations) {
    const keys = path
      .split('/')
      .slice(1)
      .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = keys.pop() ?? '';
    const parent = keys.reduce<unknown>((node, key) => field(node, key), stored);
    if (typeof parent !== 'object' || parent === null) throw new Error(`${path} leads nowhere`);
    const held: unknown = Reflect.get(parent, last);
    if (op === 'test' && held !== value) throw new Error(`${path} is not ${String(value)}`);
    if (op === 'replace' && held === undefined) throw new Error(`${path} does not exist`);
    if (op !== 'test') Reflect.set(parent, last, value);
  }
  return stored;
}
