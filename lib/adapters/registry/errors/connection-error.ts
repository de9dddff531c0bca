/** Why a request got no response; each message follows the name of the step that failed. */
export const connectionMessages = {
  unresolved: 'its host name does not resolve',
  refused: 'connection refused',
  reset: 'the connection was reset',
  timeout: 'timeout',
  untrusted: 'its certificate is not trusted; add its CA to REGISTRY_CA_FILE',
  'not-https': 'it does not speak https; if it uses plain http, add it to INSECURE_REGISTRIES',
  'no-route': 'there is no route to it',
  // The registry is not at fault.
  exhausted: 'image-cloner has no connections left; raise its limit of open files',
  unknown: 'the connection failed',
} as const;

export type ConnectionProblem = keyof typeof connectionMessages;

/** The first match counts; codes are those of the system, of OpenSSL and of undici. */
const byCode: readonly (readonly [RegExp, ConnectionProblem])[] = [
  [/ENOTFOUND|EAI_AGAIN|ENODATA/, 'unresolved'],
  [/ECONNREFUSED/, 'refused'],
  [/ECONNRESET|ECONNABORTED|EPIPE|UND_ERR_SOCKET|UND_ERR_RE[SQ]_|HPE_INVALID_EOF_STATE/, 'reset'],
  [/TIMEOUT|ETIMEDOUT/, 'timeout'],
  [/CERT|SIGNATURE|SELF_SIGNED|ALTNAME/, 'untrusted'],
  [/EPROTO|SSL|TLS/, 'not-https'],
  [/EHOSTUNREACH|ENETUNREACH/, 'no-route'],
  [/EMFILE|ENFILE|ENOBUFS|ENOMEM|EADDRNOTAVAIL/, 'exhausted'],
];

const transientProblems: readonly ConnectionProblem[] = [
  'refused',
  'reset',
  'timeout',
  'no-route',
  'exhausted',
];

/** After these the request may have arrived; any other failed connection carries no request. */
const uncertainProblems: readonly ConnectionProblem[] = ['reset', 'timeout', 'unknown'];

/** Whether no request can reach the registry now. */
export function isUnreachable(problem: ConnectionProblem | undefined): boolean {
  return problem !== undefined && !uncertainProblems.includes(problem);
}

/** Classifies an error of the system, of TLS or of undici. */
export function connectionProblemOf(error: unknown): {
  readonly problem: ConnectionProblem;
  readonly isTransient: boolean;
} {
  const code = codeOf(error);
  const problem = byCode.find(([pattern]) => pattern.test(code))?.[1] ?? 'unknown';
  return { problem, isTransient: transientProblems.includes(problem) || code === 'EAI_AGAIN' };
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const own = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return own === '' && error.cause !== undefined ? codeOf(error.cause) : own;
}
