import * as v from 'valibot';
import { CloneError } from '../errors.ts';
import { toPrintable } from '../util/printable.ts';

/** The fields of an AdmissionReview request that are read; see k8s.io/api `admission/v1`. */
export interface ReviewRequest {
  readonly uid: string;
  readonly kind: { readonly group: string; readonly kind: string };
  readonly subResource: string;
  readonly operation: string;
  readonly namespace: string;
  readonly name: string;
  readonly username: string;
  readonly dryRun: boolean;
  readonly object?: unknown;
  readonly oldObject?: unknown;
}

/** An AdmissionReview response. `patch` is base64, and is present if and only if `patchType` is. */
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

/** The fields of `meta/v1` Status that clients show or obey. */
export interface AdmissionStatus {
  readonly code: number;
  readonly message: string;
  readonly reason?: 'Forbidden' | 'Timeout';
  /** With code 504 every client-go client repeats the write after this many seconds. */
  readonly details?: { readonly retryAfterSeconds: number };
}

export const text = v.string('is not a string');
/** Absent and null are the empty text. */
export const optionalText = v.nullish(text, '');

/** The `object` and `record` of valibot accept arrays too. */
const plainObject = v.pipe(
  v.unknown(),
  v.check(
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    'is not an object',
  ),
);

/** An object whose other fields are ignored. */
export function object<const Entries extends v.ObjectEntries>(
  entries: Entries,
): v.GenericSchema<unknown, v.InferOutput<v.ObjectSchema<Entries, undefined>>> {
  return v.pipe(plainObject, v.object(entries));
}

/** More than any object that runs. Half a million entries would block the event loop for seconds. */
export const maxEntries = 10_000;

/** Checked before the entries are. */
const isShort = v.check(
  (value) =>
    typeof value !== 'object' ||
    value === null ||
    (Array.isArray(value) ? value : Object.keys(value)).length <= maxEntries,
  `has more than ${maxEntries} entries`,
);

/** A map of strings; absent and null are accepted. */
export const stringMap = v.nullish(v.pipe(plainObject, isShort, v.record(v.string(), text)));

/** A list; absent and null are accepted. */
export function list<Item extends v.GenericSchema>(
  item: Item,
): v.GenericSchema<unknown, v.InferOutput<Item>[] | null | undefined> {
  return v.nullish(v.pipe(v.unknown(), isShort, v.array(item, 'is not a list')));
}

const maxFieldLength = 300;
/** Longer than any that an API server sends; some caches use them as keys. */
const maxUidLength = 128;
const maxNamespaceLength = 63;

const schema = object({
  apiVersion: v.literal('admission.k8s.io/v1', 'is not admission.k8s.io/v1'),
  kind: v.literal('AdmissionReview', 'is not AdmissionReview'),
  request: object({
    uid: v.pipe(text, v.nonEmpty('is empty'), v.maxLength(maxUidLength, 'is too long')),
    kind: object({ group: optionalText, kind: text }),
    subResource: optionalText,
    operation: text,
    namespace: v.nullish(v.pipe(text, v.maxLength(maxNamespaceLength, 'is too long')), ''),
    name: optionalText,
    userInfo: v.nullish(object({ username: optionalText })),
    dryRun: v.nullish(v.boolean('is not a boolean'), false),
    object: v.optional(v.unknown()),
    oldObject: v.optional(v.unknown()),
  }),
});

/** Reads the body of an admission request. Throws `CloneError` `INVALID_REVIEW`. */
export function parseReview(body: unknown): ReviewRequest {
  const { userInfo, ...request } = parse(schema, body, '').request;
  return { ...request, username: userInfo?.username ?? '' };
}

/** Parses with a schema. The error names the first invalid field; `path` is the field that contains `input`. */
export function parse<const Schema extends v.GenericSchema>(
  schema: Schema,
  input: unknown,
  path: string,
): v.InferOutput<Schema> {
  // The error names one issue, and a body can contain millions.
  const result = v.safeParse(schema, input, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const field = [path, v.getDotPath(issue)]
    .filter((part) => part !== null && part !== '')
    .join('.');
  // Label names are arbitrary text.
  const shown = field === '' ? 'the body' : toPrintable(field.slice(0, maxFieldLength));
  const problem = issue.received === 'undefined' ? 'is missing' : issue.message;
  throw new CloneError('INVALID_REVIEW', `not an AdmissionReview: ${shown} ${problem}`);
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
