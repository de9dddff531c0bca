type Given = Readonly<Record<string, string>>;

/** Problems of variables that do not fit together. `given` holds what is set, `port` and `tlsPort` what is parsed of it. */
export function findConflicts(given: Given, port: number, tlsPort?: number): readonly string[] {
  return [...findTlsConflicts(given, port, tlsPort), ...findPullSecretConflicts(given)];
}

function findTlsConflicts(given: Given, port: number, tlsPort?: number): readonly string[] {
  const missing = ['TLS_CERT_FILE', 'TLS_PRIVATE_KEY_FILE'].filter((name) => !(name in given));
  if (missing.length === 1) {
    return [`${missing.join('')} must be set too: HTTPS needs the certificate and its key`];
  }
  const dependent = missing.length === 0 ? [] : ['TLS_PORT', 'TLS_CLIENT_CA_FILE'];
  return [
    ...dependent
      .filter((name) => name in given)
      .map((name) => `${name} needs TLS_CERT_FILE and TLS_PRIVATE_KEY_FILE`),
    ...(tlsPort === port
      ? [`TLS_PORT must differ from PORT: ${port} cannot be both HTTPS and plain http`]
      : []),
  ];
}

function findPullSecretConflicts(given: Given): readonly string[] {
  const isEnabled = given['PULL_SECRETS']?.trim() === 'true';
  return isEnabled && given['CLONER']?.trim() !== 'registry'
    ? [
        'PULL_SECRETS needs CLONER=registry: a docker daemon sends passwords to any token server that a registry names',
      ]
    : [];
}
