import type { Login } from '../auth-mount.ts';
import type { FaultRecord } from '../faults.ts';
import type { Ledger } from '../ledger.ts';

/** Something that nobody but its own registry may ever see. */
export interface Secret {
  readonly name: string;
  /** Who may see it. */
  readonly owner: FaultRecord['role'];
  readonly value: string;
}

/** A place where secrets are looked for. */
export interface Exposed {
  readonly place: string;
  readonly text: string;
}

/** A password, and the ways in which it travels. */
export function toSecrets(name: string, owner: Secret['owner'], login: Login): readonly Secret[] {
  const { password } = login;
  return [
    { name, owner, value: password },
    { name: `encoded ${name}`, owner, value: toBasic(login) },
    { name: `URL-encoded ${name}`, owner, value: encodeURIComponent(password) },
  ];
}

/** What stands behind `Basic` in an `Authorization` header. */
export function toBasic({ name, password }: Login): string {
  return Buffer.from(`${name}:${password}`).toString('base64');
}

/** No secret stands in any of the places. */
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
      'no credential in any log, answer, metric or request to a stranger',
      found.length === 0,
      () => `${place} holds the ${[...new Set(found)].join(', the ')}`,
    );
  }
}
