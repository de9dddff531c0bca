/** Why there was no answer at all. */
export type ConnectionProblem =
  | 'unresolved'
  | 'refused'
  | 'cut'
  | 'silent'
  | 'untrusted'
  | 'not-https'
  | 'no-route'
  | 'exhausted'
  | 'unknown';

/** In the order in which they are looked for; codes are the system's, OpenSSL's and undici's. */
const byCode: readonly (readonly [RegExp, ConnectionProblem])[] = [
  [/ENOTFOUND|EAI_AGAIN|ENODATA/, 'unresolved'],
  [/ECONNREFUSED/, 'refused'],
  [/ECONNRESET|ECONNABORTED|EPIPE|UND_ERR_SOCKET|UND_ERR_RE[SQ]_|HPE_INVALID_EOF_STATE/, 'cut'],
  [/TIMEOUT|ETIMEDOUT/, 'silent'],
  [/CERT|SIGNATURE|SELF_SIGNED|ALTNAME/, 'untrusted'],
  [/EPROTO|SSL|TLS/, 'not-https'],
  [/EHOSTUNREACH|ENETUNREACH/, 'no-route'],
  [/EMFILE|ENFILE|ENOBUFS|ENOMEM|EADDRNOTAVAIL/, 'exhausted'],
];

/** For a sentence that begins with what was being done. */
export const connectionWords = {
  unresolved: 'its name does not resolve',
  refused: 'connection refused',
  cut: 'the connection was cut',
  silent: 'it did not answer in time',
  untrusted: 'its certificate is not trusted (REGISTRY_CA_FILE)',
  'not-https': 'it does not speak https (INSECURE_REGISTRIES)',
  'no-route': 'there is no route to it',
  // Not the registry's fault, whatever the sentence begins with.
  exhausted: 'image-cloner itself has no connections left (is its limit of open files too low?)',
  unknown: 'the connection failed',
} as const satisfies Record<ConnectionProblem, string>;

/** Problems that may be gone a moment later. */
const passing: readonly ConnectionProblem[] = ['refused', 'cut', 'silent', 'no-route', 'exhausted'];

/** Sorts an error of the system, of TLS or of undici. */
export function connectionProblemOf(error: unknown): {
  readonly problem: ConnectionProblem;
  readonly isPassing: boolean;
} {
  const code = codeOf(error);
  const problem = byCode.find(([pattern]) => pattern.test(code))?.[1] ?? 'unknown';
  return { problem, isPassing: passing.includes(problem) || code === 'EAI_AGAIN' };
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const own = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return own === '' && error.cause !== undefined ? codeOf(error.cause) : own;
}
