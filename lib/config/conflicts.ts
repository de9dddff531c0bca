import type { Naming } from '../image/backup-name.ts';
import type { BackupRegistry } from './backup-registry.ts';
import { findAuthProblems } from './registry-auth.ts';
import type { Values } from './variables.ts';

/** The variables that decide where the credentials of the backup come from. */
const authVariables = ['REGISTRY', 'REGISTRY_NAMESPACE', 'REGISTRY_AUTH', 'NAMING'];

/** Problems of variables that do not fit together. `given` holds those that are set. */
export function findConflicts(
  given: Readonly<Record<string, string>>,
  o: Values,
  invalid: ReadonlySet<string | null>,
): readonly string[] {
  const { PORT, TLS_PORT, PULL_SECRETS, CLONER } = o;
  const missing = ['TLS_CERT_FILE', 'TLS_PRIVATE_KEY_FILE'].filter((name) => !(name in given));
  const dependent = ['TLS_PORT', 'TLS_CLIENT_CA_FILE'].filter((name) => name in given);
  const problems: string[] = [];
  if (missing.length === 1) {
    problems.push(`${missing.join('')} must be set too: HTTPS needs the certificate and its key`);
  } else {
    if (missing.length > 0) {
      problems.push(
        ...dependent.map((name) => `${name} needs TLS_CERT_FILE and TLS_PRIVATE_KEY_FILE`),
      );
    }
    if (TLS_PORT === PORT) {
      problems.push(`TLS_PORT must differ from PORT: ${PORT} cannot be both HTTPS and plain http`);
    }
  }
  if (PULL_SECRETS && CLONER === 'docker') {
    problems.push(
      'PULL_SECRETS needs CLONER=registry: a docker daemon sends passwords to any token server that a registry names',
    );
  }
  if ('PLATFORMS' in given && CLONER === 'docker') {
    problems.push('PLATFORMS needs CLONER=registry: a docker daemon copies its own platform only');
  }
  const isKnown = !authVariables.some((name) => invalid.has(name));
  if (isKnown) problems.push(...findAuthProblems(o.REGISTRY_AUTH, toBackupSettings(o)));
  if ('REGISTRY_AUTH_DIR' in given && !['auto', 'file'].includes(o.REGISTRY_AUTH)) {
    problems.push(
      `REGISTRY_AUTH_DIR is not read with REGISTRY_AUTH=${o.REGISTRY_AUTH}: set REGISTRY_AUTH=file, or unset REGISTRY_AUTH_DIR`,
    );
  }
  return problems;
}

/** Where the backups are. */
export function toBackupSettings(o: Values): {
  readonly backup: BackupRegistry;
  readonly naming: Naming;
} {
  const { REGISTRY, REGISTRY_NAMESPACE: namespace, NAMING: naming } = o;
  return { backup: { ...REGISTRY, ...(namespace !== undefined && { namespace }) }, naming };
}
