import * as v from 'valibot';
import { CloneError } from '../errors.ts';
import { toPrintable } from '../util/printable.ts';

/** What we read of an AdmissionReview; see k8s.io/api `admission/v1`. */
export interface ReviewRequest {
  readonly uid: string;
  readonly kind: { readonly group: string; readonly kind: string };
  readonly subResource: string;
  readonly operation: string;
  readonly namespace: string;
  readonly name: string;
  readonly username: string;
  readonly dryRun: boolean;
  readonly object: unknown;
  readonly oldObject: unknown;
}

/** AdmissionReview as it is answered. `patch` is base64; it and `patchType` come together or not at all. */
export interface AdmissionReview {
  readonly apiVersion: 'admission.k8s.io/v1';
  readonly kind: 'AdmissionReview';
  readonly response: AdmissionResponse;
}

export interface AdmissionResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly status?: AdmissionStatus;
  readonly patchType?: 'JSONPatch';
  readonly patch?: string;
  readonly warnings?: readonly string[];
  readonly auditAnnotations?: Readonly<Record<string, string>>;
}

/** The part of `meta/v1` Status that a person sees, or a client obeys. */
export interface AdmissionStatus {
  readonly code: number;
  readonly message: string;
  readonly reason?: 'Forbidden' | 'Timeout';
  /** With code 504 every client-go client repeats the same write after that many seconds. */
  readonly details?: { readonly retryAfterSeconds: number };
}

/** valibot's `object` and `record` would take a list for one. */
const plainObject = v.pipe(
  v.unknown(),
  v.check(
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    'is not an object',
  ),
);

/** An object of which only `entries` are read. */
export function object<const Entries extends v.ObjectEntries>(
  entries: Entries,
): v.GenericSchema<unknown, v.InferOutput<v.ObjectSchema<Entries, undefined>>> {
  return v.pipe(plainObject, v.object(entries));
}

/** More than anything has that can be stored and run; to look at each of half a million takes seconds, and nobody is answered meanwhile. */
const maxEntries = 10_000;

/** Before anything is looked at in a list or a map. */
const isShort = v.check(
  (value) =>
    typeof value !== 'object' ||
    value === null ||
    (Array.isArray(value) ? value : Object.keys(value)).length <= maxEntries,
  `has more than ${maxEntries} entries`,
);

/** A map of strings, absent and null being empty. */
export const stringMap = v.nullish(
  v.pipe(plainObject, isShort, v.record(v.string(), v.string('is not a string'))),
);

/** A list, absent and null being nothing. */
export function list<Item extends v.GenericSchema>(
  item: Item,
): v.GenericSchema<unknown, v.InferOutput<Item>[] | null | undefined> {
  return v.nullish(v.pipe(v.unknown(), isShort, v.array(item, 'is not a list')));
}

const optionalText = v.nullish(v.string('is not a string'), '');

const maxPlaceLength = 300;
/** Of what the API server has made or knows: who sends more is somebody else, and some of it is remembered. */
const maxUidLength = 128;
const maxNamespaceLength = 63;

const schema = object({
  apiVersion: v.literal('admission.k8s.io/v1', 'is not admission.k8s.io/v1'),
  kind: v.literal('AdmissionReview', 'is not AdmissionReview'),
  request: object({
    uid: v.pipe(
      v.string('is not a string'),
      v.nonEmpty('is empty'),
      v.maxLength(maxUidLength, 'is too long'),
    ),
    kind: object({ group: optionalText, kind: v.string('is not a string') }),
    subResource: optionalText,
    operation: v.string('is not a string'),
    namespace: v.nullish(
      v.pipe(v.string('is not a string'), v.maxLength(maxNamespaceLength, 'is too long')),
      '',
    ),
    name: optionalText,
    userInfo: v.nullish(object({ username: optionalText })),
    dryRun: v.nullish(v.boolean('is not a boolean')),
    object: v.optional(v.unknown()),
    oldObject: v.optional(v.unknown()),
  }),
});

/** Reads the body of a call by the API server. Throws `CloneError` `INVALID_REVIEW`. */
export function parseReview(body: unknown): ReviewRequest {
  const { request } = parse(schema, body, '');
  return {
    uid: request.uid,
    kind: request.kind,
    subResource: request.subResource,
    operation: request.operation,
    namespace: request.namespace,
    name: request.name,
    username: request.userInfo?.username ?? '',
    dryRun: request.dryRun ?? false,
    object: request.object,
    oldObject: request.oldObject,
  };
}

/** Parses with a schema; the error names the first field that is wrong. `path` is where `input` was found. */
export function parse<const Schema extends v.GenericSchema>(
  schema: Schema,
  input: unknown,
  path: string,
): v.InferOutput<Schema> {
  // Only the first is told, and a body has room for millions.
  const result = v.safeParse(schema, input, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const place = [path, v.getDotPath(issue)]
    .filter((part) => part !== null && part !== '')
    .join('.');
  // Labels have names that somebody chose.
  const found = place === '' ? 'the body' : toPrintable(place.slice(0, maxPlaceLength));
  const problem = issue.received === 'undefined' ? 'is missing' : issue.message;
  throw new CloneError('INVALID_REVIEW', `not an AdmissionReview: ${found} ${problem}`);
}

export function allowed(
  uid: string,
  extras: Omit<AdmissionResponse, 'uid' | 'allowed'>,
): AdmissionReview {
  return respond({ uid, allowed: true, ...extras });
}

export function denied(
  uid: string,
  status: AdmissionStatus,
  extras: Pick<AdmissionResponse, 'warnings' | 'auditAnnotations'>,
): AdmissionReview {
  return respond({ uid, allowed: false, status, ...extras });
}

function respond(response: AdmissionResponse): AdmissionReview {
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response };
}
