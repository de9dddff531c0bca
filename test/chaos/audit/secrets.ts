import type { Ledger } from '../ledger.ts';
import type { Login } from '../servers/auth-mount.ts';
import type { FaultRecord } from '../servers/faults.ts';

/** A credential that only its registry may receive. */
export interface Secret {
  readonly name: string;
  /** The registry that may receive it. */
  readonly owner: FaultRecord['role'];
  readonly value: string;
}

/** A text that is searched for secrets. */
export interface Exposed {
  readonly place: string;
  readonly text: string;
}

/** A password and its encodings. */
export function toSecrets(name: string, owner: Secret['owner'], login: Login): readonly Secret[] {
  const { password } = login;
  return [
    { name, owner, value: password },
    { name: `encoded ${name}`, owner, value: toBasic(login) },
    { name: `URL-encoded ${name}`, owner, value: encodeURIComponent(password) },
  ];
}

/** The value after `Basic` in an `Authorization` header. */
export function toBasic({ name, password }: Login): string {
  return Buffer.from(`${name}:${password}`).toString('base64');
}

/** Checks that no place contains a secret. */
export function auditSecrets(
  secrets: readonly Secret[],
  places: readonly Exposed[],
  ledger: Ledger,
): void {
  for (const { place, text } of places) {
    const found = secrets
      .filter(({ value }) => text.includes(value))
      .map(({ name, owner }) => `${name} of the ${owner}`);
    ledger.check(
      'no log, response, metric or request to a foreign server contains a credential',
      found.length === 0,
      () => `${place} holds the ${[...new Set(found)].join(', the ')}`,
    );
  }
}
