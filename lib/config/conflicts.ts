/** HTTPS of our own, as configured. */
export interface TlsSettings {
  readonly certFile: string;
  readonly keyFile: string;
  /** Reviews are taken only from clients with a certificate of one of these CAs. */
  readonly clientCaFile?: string;
  /** Where HTTPS is served; the other port is then plain http, for probes. Absent: on the one port that there is. */
  readonly port?: number;
}

type Given = Readonly<Record<string, string>>;

const pair = ['TLS_CERT_FILE', 'TLS_PRIVATE_KEY_FILE'];

/** What is wrong with the variables about TLS taken together. `port` is where the webhook listens anyway. */
export function findTlsProblems(given: Given, port: number, tlsPort?: number): readonly string[] {
  const missing = pair.filter((name) => given[name] === undefined);
  if (missing.length === 1) {
    return [`${missing.join('')} must be set too: HTTPS needs the certificate and its key`];
  }
  const dependent = missing.length === 0 ? [] : ['TLS_PORT', 'TLS_CLIENT_CA_FILE'];
  return [
    ...dependent
      .filter((name) => given[name] !== undefined)
      .map((name) => `${name} needs TLS_CERT_FILE and TLS_PRIVATE_KEY_FILE`),
    ...(tlsPort === port
      ? [`TLS_PORT must differ from PORT: ${port} cannot be both HTTPS and plain http`]
      : []),
  ];
}
