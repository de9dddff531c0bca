/** What failed: the lookup of the host name, the connection, or a request on it. */
type Phase = 'resolve' | 'connect' | 'transfer';

interface ProblemText {
  readonly phase: Phase;
  /** Follows the name of the step that failed. */
  readonly message: string;
  readonly isTransient?: true;
  /** The server speaks https. */
  readonly isTls?: true;
}

/** Why a request got no response. */
const problems = {
  'no-such-host': { phase: 'resolve', message: 'the name does not exist' },
  'no-dns': { phase: 'resolve', message: 'the DNS server did not answer', isTransient: true },
  refused: { phase: 'connect', message: 'connection refused', isTransient: true },
  'no-route': { phase: 'connect', message: 'there is no route to it', isTransient: true },
  unanswered: { phase: 'connect', message: 'timeout', isTransient: true },
  reset: { phase: 'transfer', message: 'the connection was reset', isTransient: true },
  timeout: { phase: 'transfer', message: 'timeout', isTransient: true },
  expired: { phase: 'connect', message: 'its certificate has expired', isTls: true },
  'not-yet-valid': {
    phase: 'connect',
    message: 'its certificate is not valid yet; check the clock of the node',
    isTls: true,
  },
  'other-name': {
    phase: 'connect',
    message: 'its certificate is for another host name',
    isTls: true,
  },
  'self-signed': {
    phase: 'connect',
    message: 'its certificate is self-signed; add it to REGISTRY_CA_FILE',
    isTls: true,
  },
  'unknown-ca': {
    phase: 'connect',
    message: 'its certificate is from an unknown CA; add that CA to REGISTRY_CA_FILE',
    isTls: true,
  },
  'bad-certificate': { phase: 'connect', message: 'its certificate is invalid', isTls: true },
  'client-certificate': {
    phase: 'connect',
    message: 'it requires a client certificate, which image-cloner does not have',
    isTls: true,
  },
  handshake: { phase: 'connect', message: 'it rejected the TLS handshake', isTls: true },
  'not-https': {
    phase: 'connect',
    message: 'it does not speak https; if it uses plain http, add it to INSECURE_REGISTRIES',
  },
  'not-plain-http': { phase: 'connect', message: 'plain http was tried; it speaks https' },
  // Surplus bytes of an earlier response end the connection, so that another attempt may succeed.
  'not-http': {
    phase: 'transfer',
    message: 'its response is not valid HTTP',
    isTransient: true,
  },
  // The registry is not at fault.
  exhausted: {
    phase: 'connect',
    message: 'image-cloner has no connections left; raise its limit of open files',
    isTransient: true,
  },
  unknown: { phase: 'transfer', message: 'the connection failed' },
} as const satisfies Readonly<Record<string, ProblemText>>;

export type ConnectionProblem = keyof typeof problems;

/** The first match counts; codes are those of the system, of OpenSSL and of undici. */
const byCode: readonly (readonly [RegExp, ConnectionProblem])[] = [
  [/EAI_AGAIN/, 'no-dns'],
  [/ENOTFOUND|ENODATA/, 'no-such-host'],
  [/ECONNREFUSED/, 'refused'],
  [/ECONNRESET|ECONNABORTED|EPIPE|UND_ERR_SOCKET|UND_ERR_RE[SQ]_|HPE_INVALID_EOF_STATE/, 'reset'],
  [/CONNECT_TIMEOUT/, 'unanswered'],
  [/TIMEOUT|ETIMEDOUT/, 'timeout'],
  [/ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE)/, 'client-certificate'],
  [/ALERT/, 'handshake'],
  [/CERT_HAS_EXPIRED/, 'expired'],
  [/CERT_NOT_YET_VALID/, 'not-yet-valid'],
  [/ALTNAME|HOSTNAME_MISMATCH/, 'other-name'],
  [/DEPTH_ZERO_SELF_SIGNED_CERT/, 'self-signed'],
  [/SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(GET_ISSUER|VERIFY_LEAF)|CERT_UNTRUSTED/, 'unknown-ca'],
  [/CERT|SIGNATURE|CRL|INVALID_(CA|PURPOSE)/, 'bad-certificate'],
  [/EPROTO|SSL|TLS/, 'not-https'],
  [/^HPE_/, 'not-http'],
  [/EHOSTUNREACH|ENETUNREACH/, 'no-route'],
  [/EMFILE|ENFILE|ENOBUFS|ENOMEM|EADDRNOTAVAIL/, 'exhausted'],
];

/** Classifies an error of the system, of TLS or of undici. */
export function connectionProblemOf(error: unknown): {
  readonly problem: ConnectionProblem;
  readonly isTransient: boolean;
} {
  const code = codeOf(error);
  const problem = byCode.find(([pattern]) => pattern.test(code))?.[1] ?? 'unknown';
  return { problem, isTransient: textOf(problem).isTransient ?? false };
}

/** Whether the server speaks https, so that plain http would send in clear text what must be encrypted. */
export function isTlsProblem(problem: ConnectionProblem | undefined): boolean {
  return problem !== undefined && textOf(problem).isTls === true;
}

/** Whether no request can reach the registry now: after the connection was made, one may have arrived. */
export function isUnreachable(problem: ConnectionProblem | undefined): boolean {
  return problem !== undefined && textOf(problem).phase !== 'transfer';
}

/** One clause; `url` is absent if a response had begun. */
export function describeProblem(problem: ConnectionProblem, step: string, url?: URL): string {
  const { phase, message } = textOf(problem);
  if (url === undefined || phase === 'transfer') return `${step}: ${message}`;
  if (phase === 'resolve') return `resolving the host name ${url.hostname}: ${message}`;
  // INSECURE_REGISTRIES does not apply to Docker Hub.
  const isHub = problem === 'not-https' && url.hostname.endsWith('.docker.io');
  const advice = 'it does not speak https; check for a proxy between image-cloner and it';
  return `connecting to ${url.host}: ${isHub ? advice : message}`;
}

/** The clause for a request in plain http to a server that speaks https. */
export function describePlainHttpToHttps(url: URL, isListed: boolean): string {
  return isListed
    ? `connecting to ${url.host}: plain http was tried because INSECURE_REGISTRIES lists it; it speaks https: remove it from the list`
    : describeProblem('not-plain-http', '', url);
}

function textOf(problem: ConnectionProblem): ProblemText {
  return problems[problem];
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const own = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // undici 8 leaves the code out.
  if (own === '' && error.name === 'HTTPParserError') {
    return error.message.includes('EOF') ? 'HPE_INVALID_EOF_STATE' : 'HPE_INVALID';
  }
  return own === '' && error.cause !== undefined ? codeOf(error.cause) : own;
}
